"""The crop window and the crop's pixels."""

from __future__ import annotations

import numpy as np
import pytest

from pamir_blender.camera import CROP_SIZE, CropWindow
from pamir_blender.photo.crop import carry_outwards, crop_window, cut_crop


def test_tall_people_fill_80_percent_of_the_height_in_the_middle():
    window = crop_window((100.0, 50.0, 300.0, 850.0))
    corners = window.photo_to_crop(np.array([[100.0, 50.0], [300.0, 850.0]]))
    assert corners[1, 1] - corners[0, 1] == pytest.approx(0.8 * CROP_SIZE)
    np.testing.assert_allclose(corners.mean(0), CROP_SIZE / 2)


def test_wide_people_fill_88_percent_of_the_width():
    window = crop_window((0.0, 0.0, 1000.0, 400.0))
    corners = window.photo_to_crop(np.array([[0.0, 0.0], [1000.0, 400.0]]))
    assert corners[1, 0] - corners[0, 0] == pytest.approx(0.88 * CROP_SIZE)
    np.testing.assert_allclose(corners.mean(0), CROP_SIZE / 2)


@pytest.mark.parametrize("scale", [0.21, 0.5, 0.93, 2.7])
def test_the_crop_shows_what_the_window_says(scale):
    """Ramps in u and v, resampled, must read as the photo coordinate under each crop pixel."""
    size = int(600 / scale)
    ramp = np.arange(size) / size * 250
    image = np.stack(
        [np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.zeros((size, size))], -1
    )
    window = CropWindow(scale, (-20.3, -31.7))
    crop, mask = cut_crop(image.round().astype(np.uint8), np.ones((size, size), np.float32), window)
    centres = np.stack(np.meshgrid(np.arange(512) + 0.5, np.arange(512) + 0.5), -1)
    expected = (window.crop_to_photo(centres) - 0.5) / size * 250
    np.testing.assert_allclose(crop[8:-8, 8:-8, :2], expected[8:-8, 8:-8], atol=1.2)
    assert abs((crop[8:-8, 8:-8, :2] - expected[8:-8, 8:-8]).mean()) < 0.1
    np.testing.assert_allclose(mask, 1, atol=1e-4)


def test_outside_the_photo_is_white_and_empty():
    image = np.zeros((100, 100, 3), np.uint8)
    crop, mask = cut_crop(image, np.ones((100, 100), np.float32), CropWindow(2.0, (156.0, 156.0)))
    assert crop[:150].min() == 255
    assert mask[:150].max() == 0
    assert crop[256, 256].tolist() == [0, 0, 0]
    assert mask[256, 256] == pytest.approx(1)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.2])
def test_no_colour_of_the_old_background_remains(scale):
    """A red disc with a soft edge, blended over green: on white there must be only red to white."""
    size = int(420 / scale)
    v, u = np.mgrid[0:size, 0:size]
    distance = np.hypot(u - size / 2, v - size / 2) - size * 0.35
    soft = np.clip(0.5 - distance / 4, 0, 1)[..., None]
    image = (soft * [220, 20, 20] + (1 - soft) * [10, 200, 30]).round().astype(np.uint8)
    offset = 256 - scale * size / 2
    crop, mask = cut_crop(image, soft[..., 0].astype(np.float32), CropWindow(scale, (offset, offset)))
    part = mask[..., None]
    expected = part * [220, 20, 20] + (1 - part) * 255
    assert np.abs(crop - expected).max() < 12
    assert ((mask > 0.1) & (mask < 0.9)).sum() > 100  # the edge is soft
    area = np.pi * (0.35 * size * scale) ** 2
    assert mask.sum() == pytest.approx(area, rel=0.01)


def test_shrinking_averages():
    """Stripes one photo pixel wide become their mean, not an alias."""
    image = np.zeros((2000, 2000, 3), np.uint8)
    image[:, ::2] = 200
    crop, _ = cut_crop(image, np.ones((2000, 2000), np.float32), CropWindow(0.2563, (0.0, 0.0)))
    assert np.abs(crop[20:-20, 20:-20].astype(int) - 100).max() <= 6


def test_carry_outwards_without_a_solid_part_changes_nothing():
    colours = np.random.default_rng(0).uniform(0, 255, (20, 20, 3)).astype(np.float32)
    np.testing.assert_array_equal(carry_outwards(colours, np.full((20, 20), 0.5, np.float32)), colours)
