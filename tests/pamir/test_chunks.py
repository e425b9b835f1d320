"""Many points through a network: in chunks, and in smaller ones when the memory does not suffice."""

import numpy as np
import pytest
import torch

from pamir_blender.errors import DeviceMemoryError
from pamir_blender.pamir.chunks import SMALLEST_CHUNK, in_chunks

POINTS = np.random.default_rng(0).random((5000, 3), dtype=np.float32)


def small_device(fits, sizes):
    """A query on a device that holds ``fits`` points at once."""

    def query(points):
        sizes.append(len(points))
        if len(points) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return points.sum(dim=1)

    return query


def test_a_full_device_gets_smaller_chunks_and_every_point_is_answered():
    sizes, values = [], np.full(len(POINTS), np.nan, np.float32)
    for start, answer in in_chunks(small_device(1100, sizes), POINTS, 4096):
        values[start : start + len(answer)] = answer.numpy()
    assert np.allclose(values, POINTS.sum(axis=1))
    # Halved until it fits, and not tried larger again.
    assert sizes == [4096, 2048, 1024, 1024, 1024, 1024, 904]


def test_a_device_without_any_room_says_what_to_do():
    sizes = []
    with pytest.raises(DeviceMemoryError, match="set the device to Processor"):
        list(in_chunks(small_device(0, sizes), POINTS, 4096))
    assert sizes[-1] == SMALLEST_CHUNK and len(sizes) == 4


def test_a_query_that_answers_for_other_points_is_noticed():
    with pytest.raises(ValueError, match="100 points"):
        list(in_chunks(lambda points: points[:-1, 0], POINTS, 100))


def test_before_each_query_the_caller_may_stop():
    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_chunks(small_device(9999, []), POINTS, 1000, before=stop))
    assert len(calls) == 3
