"""Rotated regions, anchors, decoding and suppression: the geometry around the networks."""

from __future__ import annotations

import numpy as np
import pytest

from pamir_blender.photo import people
from pamir_blender.photo.regions import MARGIN, Region, apply, person_region, sample_region, shrink


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0, np.pi])
def test_region_maps_are_inverse(angle):
    region = Region((120.5, 80.0), 64.0, angle)
    points = np.random.default_rng(0).uniform(-50, 300, (20, 2))
    back = apply(region.to_photo(256), apply(region.from_photo(256), points))
    np.testing.assert_allclose(back, points, atol=1e-9)
    np.testing.assert_allclose(apply(region.to_photo(256), np.array([128.0, 128.0])), region.centre)


def test_person_region_stands_people_up():
    """A body lying with its head to the right: the head's direction becomes "up" in the region."""
    region = person_region(np.array([100.0, 50.0]), np.array([140.0, 50.0]))
    assert region.size == pytest.approx(2 * 40 * MARGIN)
    up = apply(region.from_photo(256), np.array([140.0, 50.0]))
    np.testing.assert_allclose(up, [128, 128 - 128 / MARGIN], atol=1e-9)


def test_sampling_hits_the_right_pixels():
    """On a picture whose value is its own coordinate, samples must equal the mapped coordinate."""
    v, u = np.mgrid[0:200, 0:240]
    image = np.stack([u, v, u * 0], -1).astype(np.uint8)
    for size in (60.0, 110.0):  # enlarged and shrunk
        region = Region((110.0, 95.0), size, 0.3)
        sampled = sample_region(image, region, 32)
        centres = np.stack(np.meshgrid(np.arange(32) + 0.5, np.arange(32) + 0.5), -1)
        expected = apply(region.to_photo(32), centres) - 0.5  # pixel (0, 0) has its value at its centre
        np.testing.assert_allclose(sampled[4:-4, 4:-4, :2], expected[4:-4, 4:-4], atol=1.0)
        assert abs((sampled[4:-4, 4:-4, :2] - expected[4:-4, 4:-4]).mean()) < 0.15


def test_sampling_averages_where_it_shrinks():
    checkers = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    image = np.repeat(checkers[..., None], 3, axis=2)
    sampled = sample_region(image, Region((256.0, 256.0), 512.0), 64)
    assert np.abs(sampled.astype(int) - 127.5).max() < 4


def test_shrink():
    image = np.zeros((300, 200, 3), np.uint8)
    assert shrink(image, 0.5).shape == (150, 100, 3)
    assert shrink(image, 2.0) is image


def test_anchors():
    assert people.ANCHORS.shape == (2254, 2)
    np.testing.assert_allclose(people.ANCHORS[0], [0.5 / 28, 0.5 / 28])
    np.testing.assert_allclose(people.ANCHORS[2], [1.5 / 28, 0.5 / 28])
    np.testing.assert_allclose(people.ANCHORS[-1], [6.5 / 7, 6.5 / 7])


def test_decode_adds_offsets_to_the_anchor():
    boxes = np.zeros((2254, 12), np.float32)
    logits = np.full(2254, -100, np.float32)
    boxes[2, :4] = [10, -5, 20, 30]
    boxes[2, 4:6] = [7, 8]
    logits[2] = 3
    scores, points = people.decode(boxes, logits)
    anchor = np.array([1.5, 0.5]) / 28 * 224
    assert scores == pytest.approx([1 / (1 + np.exp(-3))])
    np.testing.assert_allclose(points[0, 0], np.add(anchor, [10 - 10, -5 - 15]))
    np.testing.assert_allclose(points[0, 1], np.add(anchor, [10 + 10, -5 + 15]))
    np.testing.assert_allclose(points[0, 2], np.add(anchor, [7, 8]))


def test_suppression_merges_one_person_and_keeps_two():
    def head(x):
        return np.array([[x, 0], [x + 20, 20], [x + 10, 60], [x + 10, 0], [0, 0], [0, 0]], float)

    points = np.stack([head(0), head(100), head(2)])
    merged = people.weighted_suppression(np.array([0.9, 0.8, 0.6]), points)
    assert [score for score, _ in merged] == [0.9, 0.8]
    assert merged[0][1][0, 0] == pytest.approx(2 * 0.6 / 1.5)
    np.testing.assert_allclose(merged[1][1], points[1])
    assert people.weighted_suppression(np.zeros(0), np.zeros((0, 6, 2))) == []
