"""Triangles to pixels: every centre once, right coordinates, right depth order."""

import numpy as np

from pamir_blender.rasterise import coverage, fragments, nearest, spans


def fan(rng, size):
    """A triangulated square (F, 3, 2) with random inner points, some on pixel centres."""
    from scipy.spatial import Delaunay

    inner = rng.uniform(2, size - 2, (200, 2))
    inner[::3] = np.floor(inner[::3]) + 0.5
    points = np.concatenate([[[1.5, 1.5], [size - 1.5, 1.5], [1.5, size - 1.5], [size - 1.5] * 2], inner])
    return points[Delaunay(points).simplices]


def test_a_triangulated_square_covers_each_pixel_once():
    corners = fan(np.random.default_rng(0), 64)
    found = fragments(corners, (64, 64))
    hits = np.zeros((64, 64), int)
    np.add.at(hits, (found.row, found.column), 1)
    # Half-open: the first row and column of centres belong to the square, the last do not.
    expected = np.zeros((64, 64), int)
    expected[1:62, 1:62] = 1
    assert np.array_equal(hits, expected)
    assert np.array_equal(coverage(corners, (64, 64)), expected > 0)


def test_barycentric_coordinates_give_back_the_pixel():
    corners = fan(np.random.default_rng(1), 40)
    found = fragments(corners, (40, 40))
    place = found.interpolate(corners.astype(np.float32))
    assert np.abs(place - np.stack([found.column, found.row], 1) - 0.5).max() < 1e-3
    assert found.barycentric.min() >= 0
    assert np.abs(found.barycentric.sum(1) - 1).max() < 1e-5


def test_images_edges_and_degenerate_triangles():
    corners = np.array([[[-5.0, -5], [50, -5], [-5, 50]], [[3, 3], [3, 3], [9, 9]]])
    assert coverage(corners, (10, 6)).all()
    assert (fragments(corners, (10, 6)).face == 0).all()
    runs = spans(corners, (10, 6))
    assert runs.start.min() == 0
    assert runs.stop.max() == 10


def test_slivers_keep_their_values_inside():
    """Collinear but for rounding, along diagonals through pixel centres."""
    rng = np.random.default_rng(2)
    start, along = rng.integers(5, 20, (20000, 1, 2)) + 0.5, rng.integers(0, 15, (20000, 3, 1))
    corners = start + along * np.array([1, 1]) + rng.normal(0, 1e-14, (20000, 3, 2))
    found = fragments(corners, (40, 40))
    assert len(found.face) > 100
    values = found.interpolate(np.tile(np.float32([[[1], [2], [3]]]), (20000, 1, 1)))
    assert np.isfinite(values).all()
    assert found.barycentric.min() >= 0
    assert found.barycentric.max() <= 1


def test_the_nearest_wins():
    square = np.array([[[1, 1], [9, 1], [1, 9]], [[9, 9], [1, 9], [9, 1]]], float)
    corners = np.concatenate([square, square])
    found = fragments(corners, (10, 10))
    depth = np.where(found.face < 2, found.column, 4.5)
    winner, buffer = nearest(found, depth, (10, 10))
    assert winner[0, 0] == -1
    assert buffer[0, 0] == -np.inf
    inside = np.s_[1:9, 1:9]
    columns = np.tile(np.arange(1, 9), (8, 1))
    assert np.array_equal(found.face[winner[inside]] < 2, columns > 4)
    assert np.array_equal(buffer[inside], np.maximum(columns, 4.5).astype(np.float32))
