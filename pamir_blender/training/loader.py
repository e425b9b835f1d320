"""Batches without end, made ready in other processes while the network learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import torch
from torch.utils.data import DataLoader, default_collate

from ..errors import AssetsError
from .batches import Batch
from .parallel import Group

AHEAD = 3
"""Batches that every loader process keeps ready."""


class EpochData(Protocol):
    """A map-style data set whose random choices follow an epoch number, in loader processes too."""

    def set_epoch(self, epoch: int) -> None:
        """Reseed for epoch ``epoch``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...


@dataclass
class _Order:
    """A sampler whose order can be replaced between two passes."""

    indices: list[int] = field(default_factory=list)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class _Collate:
    """Samples to one augmented batch; travels to the loader processes."""

    augment: Callable[[Batch], Batch]

    def __call__(self, samples: list[Batch]) -> Batch:
        return self.augment(default_collate(samples))


class BatchLoader:
    """Iterates over batches; ``epoch`` is the number of the pass it is in.

    Every epoch is shuffled by ``seed`` and its own number; the processes of a ``group`` shuffle alike, and
    each takes its own part. ``open_data`` is asked for the data set at every epoch, so that one still being
    made is used as it grows; while its length stays the same the loader processes keep the one they have.

    Args:
        open_data: opens the data set.
        augment: changes a batch; must be picklable, draws from torch's random numbers.
        batch_size: samples of a batch. The rest of an epoch is dropped, unless it is all there is.
        seed: of the shuffling.
        workers: loader processes; 0 loads in this one.
        pin: put batches into page-locked memory, from which a GPU copies without waiting.
        group: the processes that train together.
    """

    def __init__(
        self,
        open_data: Callable[[], EpochData],
        augment: Callable[[Batch], Batch],
        *,
        batch_size: int,
        seed: int = 0,
        workers: int = 0,
        pin: bool = False,
        group: Group | None = None,
    ) -> None:
        self.open_data, self.collate = open_data, _Collate(augment)
        self.batch_size, self.seed, self.workers, self.pin = batch_size, seed, workers, pin
        self.group = group or Group()
        self.epoch = 0

    def __iter__(self) -> Iterator[Batch]:
        data, order = None, _Order()
        while True:
            self.epoch += 1
            found = self.open_data()
            order.indices = self._share(len(found))
            if data is None or len(found) != len(data):
                data = found
                batches = self._loader(data, order)
            data.set_epoch(self.epoch)
            yield from batches

    def _share(self, count: int) -> list[int]:
        shuffle = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(count, generator=shuffle).tolist()
        each = count // self.group.size
        if not each:
            raise AssetsError(
                f"There are {count} views for {self.group.size} training processes. Make more, or train with "
                "fewer processes."
            )
        return order[self.group.rank * each : (self.group.rank + 1) * each]

    def _loader(self, data: EpochData, order: _Order) -> DataLoader:
        return DataLoader(
            data,
            batch_size=self.batch_size,
            sampler=order,
            drop_last=len(order) >= self.batch_size,
            collate_fn=self.collate,
            num_workers=self.workers,
            prefetch_factor=AHEAD if self.workers else None,
            persistent_workers=self.workers > 0,
            worker_init_fn=_start_worker,
            pin_memory=self.pin,
        )


def _start_worker(_: int) -> None:
    # Each of several processes would start as many threads as there are cores.
    cv2.setNumThreads(0)
