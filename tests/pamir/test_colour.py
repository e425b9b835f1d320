"""Eq. 13: photo and network blended, without the background's colours, where the photo can see."""

import numpy as np
import pytest
import torch

from pamir_blender.camera import CropWindow, box_to_crop
from pamir_blender.errors import Cancelled
from pamir_blender.pamir.colour import PhotoColours, PhotoVisibility, blend, query_colours


def gradient_photo(width, height):
    """A photo whose red is u and whose green is v, and a full mask."""
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    image = np.stack([u, v, np.full_like(u, 0.5)], -1)
    return (image * 255).round().astype(np.uint8), np.ones((height, width), np.float32)


@pytest.mark.parametrize("scale", [2.5, 1.0, 0.3])
def test_pixels_land_where_the_window_says(scale):
    def wave(place):
        """Waves of 50 crop pixels: a quarter of a pixel off changes the colour by 0.015."""
        return 0.5 + 0.5 * np.sin(place * scale * 2 * np.pi / 50)

    width, height = int(700 / scale), int(560 / scale)
    u, v = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    image = (np.stack([wave(u), wave(v), 0 * u], -1) * 255).round().astype(np.uint8)
    window = CropWindow(scale, (-90.0, -20.0))
    photo = PhotoColours(image, np.ones((height, width), np.float32), window)
    assert 512 <= photo.image.shape[0] <= 2048
    points = np.random.default_rng(0).uniform(-0.45, 0.45, (500, 3))
    expected = wave(window.crop_to_photo(box_to_crop(points)))
    assert np.abs(photo.sample(points)[:, :2] - expected).max() < 0.015


def test_background_never_bleeds_in():
    v, u = np.mgrid[0:600, 0:600] + 0.5
    inside = (u - 300) ** 2 + (v - 300) ** 2 < 200**2
    image = np.where(inside[..., None], [20, 40, 200], [250, 250, 0]).astype(np.uint8)
    import cv2

    image = cv2.GaussianBlur(image, (0, 0), 0.7)
    photo = PhotoColours(image, inside.astype(np.float32), CropWindow(512 / 600, (0.0, 0.0)))
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 2))
    assert np.abs(photo.sample(points) * 255 - [20, 40, 200]).max() < 2


def test_an_empty_mask_is_refused():
    image, mask = gradient_photo(100, 100)
    with pytest.raises(ValueError, match="empty"):
        PhotoColours(image, mask * 0, CropWindow(5.12, (0.0, 0.0)))


def test_blend_is_equation_13():
    image, mask = gradient_photo(512, 512)
    photo = PhotoColours(image, mask, CropWindow(1.0, (0.0, 0.0)))
    points = np.random.default_rng(1).uniform(-0.4, 0.4, (100, 3)).astype(np.float32)
    predicted = np.random.default_rng(2).uniform(0, 1, (100, 4)).astype(np.float32)
    alpha, seen = predicted[:, 3:], photo.sample(points)
    assert np.allclose(blend(points, predicted, photo), alpha * seen + (1 - alpha) * predicted[:, :3])
    hidden = blend(points, predicted, photo, np.zeros(100, np.float32))
    assert np.allclose(hidden, predicted[:, :3])


def test_queries_come_in_chunks_and_can_be_cancelled():
    points = np.random.default_rng(3).uniform(-0.5, 0.5, (1000, 3))
    sizes, fractions = [], []

    def query(part: torch.Tensor) -> torch.Tensor:
        sizes.append(len(part))
        return torch.cat([part, part[:, :1]], 1)

    colours = query_colours(points, query, chunk=300, progress=fractions.append)
    assert sizes == [300, 300, 300, 100]
    assert fractions[-1] == 1
    assert np.allclose(colours, points[:, [0, 1, 2, 0]], atol=1e-6)
    with pytest.raises(Cancelled):
        query_colours(points, query, chunk=300, cancelled=lambda: True)


def test_visibility_knows_front_back_and_what_hides():
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    vertices = np.concatenate([square * 0.2 + [0, 0, 0.2], square * 0.4 - [0, 0, 0.1]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    points = np.array([[0, 0, 0.2], [0.3, 0.3, -0.1], [0, 0, -0.1], [0.3, 0.3, -0.1], [0.3, 0, -0.1]])
    slanted = [np.sqrt(1 - 0.2**2), 0, 0.2]
    normals = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, -1], slanted])
    seen = PhotoVisibility(vertices, faces)(points, normals)
    assert seen[:4].tolist() == [1, 1, 0, 0]
    assert 0 < seen[4] < 1


def test_where_the_surface_is_seen_the_photo_decides_alone():
    image = np.full((64, 64, 3), 200, np.uint8)
    photo = PhotoColours(image, np.ones((64, 64), np.float32), CropWindow(8.0, (0.0, 0.0)))
    points = np.zeros((4, 3), np.float32)
    predicted = np.array([[0, 0, 0, 0.7], [0, 0, 0, 0.7], [0, 0, 0, 0.02], [0, 0, 0, 0.7]], np.float32)
    colours = blend(points, predicted, photo, np.array([1, 0, 1, 0.5], np.float32))[:, 0] * 255
    np.testing.assert_allclose(colours, [200, 0, 200, 135], atol=1)
