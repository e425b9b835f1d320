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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import nn


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
