import numpy as np
import pytest

pytest.importorskip("igl", reason="libigl is not installed (extra 'train')")
trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed (extra 'train')")

from pamir_blender.training.metrics import (  # noqa: E402
    chamfer,
    front_normals,
    mask_iou,
    occupancy_iou,
    point_to_surface,
    sample_surface,
    surface_scores,
)


def ball(radius, centre=(0.0, 0.0, 0.0)):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return np.asarray(mesh.vertices) + centre, np.asarray(mesh.faces)


def test_concentric_balls():
    """The gap of 0.01 box units at 0.5 box units a metre is 2 cm, both ways."""
    inner, outer = ball(0.30), ball(0.31)
    assert point_to_surface(inner, outer, 0.5) == pytest.approx(2.0, abs=0.05)
    assert chamfer(inner, outer, 0.5) == pytest.approx(2.0, abs=0.05)
    scores = surface_scores(inner, outer, 0.5, samples=2000)
    assert scores.silhouette_iou == pytest.approx(0.30**2 / 0.31**2, abs=0.01)
    assert scores.normal_degrees < 4.0


def test_a_part_of_the_truth_has_no_point_to_surface_but_a_chamfer_distance():
    vertices, faces = ball(0.3)
    half = vertices, faces[(vertices[faces][:, :, 0] > 0).all(axis=1)]
    assert point_to_surface(half, (vertices, faces), 0.5) < 1e-6
    assert chamfer(half, (vertices, faces), 0.5) > 3.0


def test_samples_lie_on_the_surface_by_area():
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]])
    points = sample_surface(square, 20_000, np.random.default_rng(0))
    assert points.mean(axis=0) == pytest.approx([0.5, 0.5, 0.0], abs=0.01)
    halves = np.histogram(points[:, 0] - points[:, 1], 2, (-1, 1))[0]
    assert halves == pytest.approx([10_000, 10_000], rel=0.05)


def test_normals_face_the_viewer_and_row_zero_is_the_top():
    normals, cover = front_normals(ball(0.1, (0.0, 0.3, 0.0)), 64)
    rows = np.nonzero(cover.any(axis=1))[0]
    assert rows.min() > 4
    assert rows.max() < 26
    assert (normals[cover][:, 2] > 0).all()
    assert normals[rows.min(), 32, 1] > 0.5  # the top of the ball looks up


def test_overlaps():
    first, second = np.array([True, True, False]), np.array([True, False, False])
    assert mask_iou(first, second) == 0.5
    assert occupancy_iou(np.array([0.9, 0.6, 0.2]), np.array([1.0, 0.0, 0.0])) == 0.5
    assert mask_iou(~first[:0], ~first[:0]) == 0.0
