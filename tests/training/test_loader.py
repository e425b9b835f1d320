"""Batches come in an order that depends on the seed alone, from any number of loader processes."""

from functools import partial
from itertools import islice

import pytest
import torch
from torch.utils.data import Dataset

from pamir_blender.errors import AssetsError
from pamir_blender.training.loader import BatchLoader
from pamir_blender.training.parallel import Group


class Numbers(Dataset):
    """Sample i is i and the epoch it was drawn in."""

    def __init__(self, count):
        self.count, self._epoch = count, torch.zeros(1, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch):
        self._epoch[0] = epoch

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return {"index": torch.tensor(index), "epoch": self._epoch[0].clone()}


def unchanged(batch):
    return batch


def with_noise(batch):
    return {**batch, "noise": torch.rand(())}


def take(loader, count):
    """The indices and epochs of the first ``count`` batches."""
    batches = list(islice(loader, count))
    return [b["index"].tolist() for b in batches], [b["epoch"].tolist() for b in batches]


def test_loader_processes_change_nothing_but_the_speed():
    results = []
    for workers in (0, 2):
        loader = BatchLoader(lambda: Numbers(10), unchanged, batch_size=3, seed=5, workers=workers)
        results.append(take(loader, 7))
    assert results[0] == results[1]
    order, epochs = results[0]
    # Three whole batches an epoch; the tenth sample is left out.
    assert [set(e) for e in epochs] == [{1}] * 3 + [{2}] * 3 + [{3}]
    assert len({i for batch in order[:3] for i in batch}) == 9
    assert order[:3] != order[3:6]
    other = BatchLoader(lambda: Numbers(10), unchanged, batch_size=3, seed=6)
    assert take(other, 7)[0] != order


def test_a_resumed_loader_goes_on_with_the_next_epoch():
    whole = BatchLoader(partial(Numbers, 6), unchanged, batch_size=3, seed=1)
    later = BatchLoader(partial(Numbers, 6), unchanged, batch_size=3, seed=1)
    later.epoch = 1
    assert take(whole, 4)[0][2:] == take(later, 2)[0]
    assert later.epoch == 2


def test_the_processes_of_a_group_share_an_epoch_out():
    shares = []
    for rank in (0, 1):
        group = Group(rank, 2)
        loader = BatchLoader(partial(Numbers, 8), unchanged, batch_size=2, seed=3, group=group)
        shares.append({i for batch in take(loader, 2)[0] for i in batch})
    assert shares[0] | shares[1] == set(range(8))


def test_data_that_grow_are_used_as_they_grow():
    sizes = iter((4, 4, 8, 8))
    for workers in (0, 1):
        sizes = iter((4, 4, 8, 8))
        loader = BatchLoader(
            lambda sizes=sizes: Numbers(next(sizes)), unchanged, batch_size=4, workers=workers
        )
        order, epochs = take(loader, 4)
        assert [max(batch) for batch in order[:2]] == [3, 3]
        assert max(order[2] + order[3]) == 7
        assert [e[0] for e in epochs] == [1, 2, 3, 3]


def test_fewer_samples_than_a_batch_are_a_batch():
    loader = BatchLoader(partial(Numbers, 2), unchanged, batch_size=5)
    assert [len(batch) for batch in take(loader, 2)[0]] == [2, 2]


def test_augmentation_draws_anew_for_every_batch_and_alike_for_a_seed():
    draws = []
    for workers in (0, 0, 1, 1):
        torch.manual_seed(4)
        loader = BatchLoader(partial(Numbers, 4), with_noise, batch_size=2, workers=workers)
        draws.append([float(batch["noise"]) for batch in islice(loader, 6)])
        assert len(set(draws[-1])) == 6
    assert draws[0] == draws[1]
    assert draws[2] == draws[3]


def test_fewer_samples_than_processes_are_refused():
    """Not waited for: nobody would ever get a batch."""
    loader = BatchLoader(partial(Numbers, 1), unchanged, batch_size=1, group=Group(0, 2))
    with pytest.raises(AssetsError, match="1 views for 2 training processes"):
        next(iter(loader))
