"""Training in several processes that share their gradients.

On a CPU that other programs use too, processes of one thread each that meet once per step lose far less time
than threads that meet in every operation.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import nn

from ..errors import BackendError

MOST_CRASHES = 3
"""Crashes of worker processes after which :func:`each_in_processes` gives up."""


class Group:
    """The processes that train one network together; alone by default."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process logs, validates and writes files."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """The leader's ``value``, in every process."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        torch.distributed.broadcast(shared, 0)
        return float(shared)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


def run_in_processes(count: int, function: Callable[..., None], *arguments: Any) -> None:
    """Call ``function(group, *arguments)`` in ``count`` processes, or right here if that is 1.

    ``function`` must be importable, ``arguments`` picklable. A process that fails ends the others, and its
    error is raised here.
    """
    if count == 1:
        function(Group(), *arguments)
        return
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        torch.multiprocessing.spawn(_member, (count, meeting, function, arguments), nprocs=count)


def each_in_processes(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    count: int,
    start: Callable[..., None],
    arguments: tuple = (),
) -> Iterator[Any]:
    """The results of ``function`` for every one of ``items``, in the order in which they are done.

    ``count`` new processes work, each after ``start(*arguments)``. An exception of ``function`` is raised
    here. A process that crashes (a graphics driver can) takes the others with it; what is not done yet is
    begun again in new ones. Raises :class:`BackendError` after :data:`MOST_CRASHES` crashes.
    """
    waiting, crashes = dict(enumerate(items)), 0
    context = multiprocessing.get_context("spawn")
    while waiting:
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=start, initargs=arguments)
        try:
            futures = {pool.submit(function, item): number for number, item in waiting.items()}
            for future in as_completed(futures):
                result = future.result()
                del waiting[futures[future]]
                yield result
        except BrokenProcessPool as error:
            crashes += 1
            if crashes >= MOST_CRASHES:
                raise BackendError(
                    f"Worker processes crashed {crashes} times. Run it again to go on."
                ) from error
            print("a worker process crashed; what it was doing is begun again", file=sys.stderr, flush=True)
        finally:
            pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, even one that was killed.

    Otherwise a killed training or data run would leave processes behind that work on for nobody.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this process has no parent to follow")

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def _member(rank: int, count: int, meeting: str, function: Callable[..., None], arguments: tuple) -> None:
    end_with_parent()
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    function(Group(rank, count), *arguments)
    # A process that left while another still works would take their connection down.
    torch.distributed.barrier()
    sys.stdout.flush()
    sys.stderr.flush()
    # gloo's threads may outlive the interpreter's end, and then abort a process whose work is done.
    os._exit(0)
