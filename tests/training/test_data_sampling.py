"""Inside and outside, surface samples, closed parts."""

import numpy as np
import pytest

from pamir_blender.training.rendering import seam_groups, vertex_normals
from pamir_blender.training.sampling import (
    FINE,
    UNIFORM,
    Sight,
    inside,
    query_points,
    sample_surface,
    texture_colors,
    thicken,
)
from pamir_blender.training.solids import capped_tube, open_coat, signed_volume, sphere

TILE = np.zeros((8, 8, 3), np.uint8)


def is_closed(faces):
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges.tolist()}
    return len(forward) == len(edges) and all((b, a) in forward for a, b in forward)


def two_balls():
    points, faces = sphere(3)
    vertices = np.concatenate([points * 0.3, points * 0.3 + [0.35, 0, 0]])
    return vertices, np.concatenate([faces, faces + len(points)])


def test_inside_of_overlapping_parts_is_their_union():
    vertices, faces = two_balls()
    points = np.random.default_rng(0).uniform(-0.7, 0.9, (4000, 3))
    distance = np.minimum(np.linalg.norm(points, axis=1), np.linalg.norm(points - [0.35, 0, 0], axis=1))
    clear = np.abs(distance - 0.3) > 0.01
    np.testing.assert_array_equal(inside(vertices, faces, points)[clear], (distance < 0.3)[clear])


def test_inside_forgives_a_small_hole():
    points, faces = sphere(3)
    holed = np.delete(faces, np.argmax(points[faces].mean(axis=1)[:, 2]), axis=0)
    assert inside(points, holed, np.array([[0, 0, 0.0], [0, 0, 0.9], [0.2, 0.1, 0.8]])).all()
    assert not inside(points, holed, np.array([[0, 0, 1.2], [1.4, 0, 0]])).any()


def test_thickened_sheet_is_a_closed_solid():
    x, y = np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 5))
    vertices = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    a = (np.arange(4)[:, None] * 5 + np.arange(4)).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + 6], 1), np.stack([a, a + 6, a + 5], 1)])
    solid, solid_faces = thicken(vertices, faces, 0.02)
    assert is_closed(solid_faces)
    assert signed_volume(solid, solid_faces) == pytest.approx(0.02, rel=1e-5)


def test_parts_are_closed_and_face_outwards():
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    levels = np.linspace(1, 0, 12)
    # Counter-clockwise seen from above (+y): from x towards -z.
    ring = np.stack([np.cos(angles), np.zeros_like(angles), -np.sin(angles)], axis=1)
    rings = ring[None] * 0.5 + levels[:, None, None] * np.array([0, 1.0, 0])
    tube = capped_tube(rings, TILE)
    assert is_closed(tube.faces)
    assert signed_volume(tube.vertices, tube.faces) == pytest.approx(np.pi * 0.25, rel=0.01)
    coat = open_coat(rings[:, 4:-4], rings[:, 4:-4] * [0.9, 1, 0.9], TILE)
    assert is_closed(coat.faces)
    assert 0.02 < signed_volume(coat.vertices, coat.faces) < np.pi * (0.25 - 0.2025)
    points, faces = sphere(3)
    assert is_closed(faces)
    assert signed_volume(points, faces) == pytest.approx(4 / 3 * np.pi, rel=0.02)


def test_surface_samples_lie_on_the_surface_with_its_normals_and_colours():
    points, faces = sphere(3)
    texture = np.zeros((32, 32, 3), np.uint8)
    texture[:, 16:] = 200
    uv = np.stack([(points[:, 0] > 0).astype(float), np.full(len(points), 0.5)], axis=1)
    rng = np.random.default_rng(1)
    samples = sample_surface(rng, points, faces, vertex_normals(points, faces), uv, texture, 3000)
    radius = np.linalg.norm(samples.points, axis=1)
    assert 0.98 < radius.min() <= radius.max() < 1.0001
    np.testing.assert_allclose(samples.normals, samples.points / radius[:, None], atol=0.06)
    assert (samples.colors[samples.points[:, 0] > 0.15] == 200).all()
    assert (samples.colors[samples.points[:, 0] < -0.15] == 0).all()
    # Spread by area: both halves get about half.
    assert abs((samples.points[:, 1] > 0).mean() - 0.5) < 0.04


def test_texture_is_read_with_v_down():
    texture = np.zeros((4, 4, 3), np.uint8)
    texture[0, 3] = 255
    colors = texture_colors(texture, np.array([[0.99, 0.01], [0.99, 0.99], [0.01, 0.01]]))
    np.testing.assert_array_equal(colors[:, 0], [255, 0, 0])


def test_query_points_have_the_noise_they_say():
    points, faces = sphere(2)
    rng = np.random.default_rng(2)
    samples = sample_surface(
        rng, points, faces, vertex_normals(points, faces), np.zeros((len(points), 2)), TILE, 2000
    )
    drawn, kinds = query_points(
        rng, samples, np.array([[-1.0] * 3, [1.0] * 3]), 0.5, {FINE: 4000, UNIFORM: 500}
    )
    off = np.linalg.norm(drawn[kinds == FINE], axis=1) - 0.97
    assert 0.015 < off.std() < 0.03  # sigma 0.01 box = 0.02 metres
    assert np.abs(drawn[kinds == UNIFORM]).max() <= 1.12
    assert np.abs(drawn[kinds == UNIFORM]).max() > 1.0


def test_sight_sees_the_near_ball_only():
    points, faces = sphere(3)
    vertices = np.concatenate([points, points * 0.5 + [0, 0, 3]])
    both = np.concatenate([faces, faces + len(points)])
    normals = vertex_normals(vertices, both)
    seen = Sight(vertices, both).visible(vertices, normals, np.array([0, 0, 1.0]))
    assert not seen[normals[:, 2] < 0].any()
    near = (np.arange(len(vertices)) >= len(points)) & (normals[:, 2] > 0.1)
    assert seen[near].all()
    hidden = (np.arange(len(vertices)) < len(points)) & (np.hypot(vertices[:, 0], vertices[:, 1]) < 0.45)
    assert not seen[hidden].any()


def test_seams_share_a_normal():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.8]], float)
    faces = np.array([[0, 1, 2], [3, 5, 4]])
    normals = vertex_normals(vertices, faces, seam_groups(vertices))
    np.testing.assert_allclose(normals[1], normals[3])
    np.testing.assert_allclose(normals[2], normals[4])
    assert not np.allclose(normals[0], normals[5])
