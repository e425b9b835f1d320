"""Following an implicit surface: exact places, closed, bounded work, refusals."""

import numpy as np
import pytest
import torch

from pamir_blender.errors import Cancelled, RequestError, SurfaceError
from pamir_blender.pamir.surface import extract, extract_surface

CENTRE = np.array([0.05, -0.11, 0.02])


def ball(radius=0.25, centre=CENTRE, sharpness=100.0):
    middle = torch.tensor(centre, dtype=torch.float32)
    return lambda points: torch.sigmoid((radius - (points - middle).norm(dim=1)) * sharpness)


def edges_used_twice(faces):
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    forward = directed[:, 0] * (faces.max() + 1) + directed[:, 1]
    backward = directed[:, 1] * (faces.max() + 1) + directed[:, 0]
    return len(np.unique(forward)) == len(forward) and np.array_equal(np.sort(forward), np.sort(backward))


def volume(surface):
    a, b, c = (surface.vertices[surface.faces[:, i]].astype(np.float64) for i in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


@pytest.mark.parametrize("resolution", [32, 96, 128, 256])
def test_sphere_is_where_it_is(resolution):
    surface = extract_surface(ball(), resolution)
    radius = np.linalg.norm(surface.vertices - CENTRE, axis=1)
    assert np.abs(radius - 0.25).max() * resolution < 0.1
    middle = (surface.vertices.min(0) + surface.vertices.max(0)) / 2
    assert np.abs(middle - CENTRE).max() * resolution < 0.05
    assert edges_used_twice(surface.faces)
    assert volume(surface) == pytest.approx(4 / 3 * np.pi * 0.25**3, rel=0.01)


def test_same_mesh_as_evaluating_everywhere_for_a_fraction_of_the_points():
    def blobs(p):
        wave = 0.3 * torch.sin(17 * p[:, 0]) * torch.sin(13 * p[:, 1]) * torch.sin(19 * p[:, 2])
        return torch.sigmoid((0.28 - p.norm(dim=1) + 0.2 * wave) * 80)

    found = extract(blobs, 128)
    line = np.arange(129) / 128 - 0.5
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    points = torch.tensor(np.stack([x, y, z], -1).reshape(-1, 3), dtype=torch.float32)
    inside = (blobs(points) > 0.5).numpy().reshape(129, 129, 129)
    corner = [inside[a : a + 128, b : b + 128, c : c + 128] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    mixed = np.any(corner, 0) & ~np.all(corner, 0)
    # Every surface cell holds a vertex on one of its edges, and no vertex lies elsewhere.
    cells = np.clip(np.floor((found.surface.vertices[:, ::-1] + 0.5) * 128 - 1e-4), 0, 127).astype(int)
    assert mixed[tuple(cells.T)].mean() > 0.99
    assert len(found.surface.faces) / mixed.sum() == pytest.approx(2.0, abs=0.1)
    assert found.points_evaluated < 0.1 * inside.size


def test_thin_part_is_followed_from_what_it_hangs_on():
    def needle(p):
        bulb = 0.15 - p.norm(dim=1)
        along = p - torch.stack([p[:, 0].clamp(0, 0.4), p[:, 0] * 0, p[:, 0] * 0], 1)
        return torch.sigmoid(torch.maximum(bulb, 0.006 - along.norm(dim=1)) * 400)

    surface = extract_surface(needle, 256)
    assert surface.vertices[:, 0].max() == pytest.approx(0.406, abs=0.003)
    assert edges_used_twice(surface.faces)


def test_hint_finds_what_the_coarse_level_misses():
    tiny = ball(0.012, (0.205, 0.11, 0.13), 400.0)
    with pytest.raises(SurfaceError, match="no person"):
        extract(tiny, 128)
    found = extract(tiny, 128, hint=np.array([[0.21, 0.105, 0.13]]))
    assert np.abs(found.surface.vertices.mean(0) - [0.205, 0.11, 0.13]).max() < 0.002


def test_loose_pieces_go_unless_the_hint_says_they_belong():
    body, foot, speck = ball(0.2, (0, 0.1, 0)), ball(0.05, (0, -0.3, 0)), ball(0.04, (0.4, 0.4, 0.4))

    def scene(p):
        return torch.stack([body(p), foot(p), speck(p)]).amax(0)

    alone = extract(scene, 64)
    assert alone.components == 1
    assert alone.surface.vertices[:, 1].min() > -0.11
    assert alone.dropped_fraction == pytest.approx(
        (0.05**2 + 0.04**2) / (0.2**2 + 0.05**2 + 0.04**2), rel=0.05
    )
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(angle), np.zeros(100), np.sin(angle)], 1)
    hint = np.concatenate([circle * 0.19 + [0, 0.1, 0], circle[::5] * 0.045 + [0, -0.3, 0]])
    both = extract(scene, 64, hint=hint)
    assert both.components == 2
    assert both.surface.vertices[:, 1].min() < -0.34
    assert both.surface.vertices[:, 0].max() < 0.3


def test_cavities_are_dropped():
    def shell(p):
        return torch.sigmoid((0.1 - (p.norm(dim=1) - 0.25).abs()) * 100)

    surface = extract_surface(shell, 64)
    assert np.linalg.norm(surface.vertices, axis=1).min() > 0.3


def test_a_surface_through_the_box_border_is_closed_there():
    surface = extract_surface(ball(0.3, (0.4, -0.4, 0.35)), 64)
    assert edges_used_twice(surface.faces)
    assert surface.vertices.min() == -0.5
    assert surface.vertices.max() == 0.5
    assert volume(surface) > 0


def test_empty_and_broken_fields_are_refused():
    with pytest.raises(SurfaceError, match="no person"):
        extract(lambda p: torch.zeros(len(p)), 64)
    with pytest.raises(SurfaceError, match="not finite"):
        extract(lambda p: torch.full((len(p),), float("nan")), 64)
    with pytest.raises(SurfaceError, match="noise"):
        extract(lambda p: 0.5 + 0.5 * torch.sin(p @ torch.tensor([7e3, 5e3, 3e3])), 256)
    with pytest.raises(RequestError, match="multiple of 32"):
        extract(ball(), 257)
    with pytest.raises(RequestError, match="between 16 and 512"):
        extract(ball(), 1024)


def test_a_full_box_is_a_closed_cube():
    surface = extract_surface(lambda p: torch.ones(len(p)), 32)
    assert volume(surface) == pytest.approx(1.0, rel=1e-3)


def test_chunks_progress_and_cancel():
    sizes, fractions = [], []
    inner = ball()

    def query(points):
        sizes.append(len(points))
        return inner(points)

    one = extract(query, 128, chunk=5000, progress=fractions.append)
    assert max(sizes) <= 5000
    assert sum(sizes) == one.points_evaluated
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    other = extract(inner, 128)
    assert np.array_equal(one.surface.vertices, other.surface.vertices)
    calls = len(sizes)
    with pytest.raises(Cancelled):
        extract(query, 128, chunk=5000, cancelled=lambda: len(sizes) >= calls + 3)
    assert len(sizes) == calls + 3


def test_threshold_moves_the_surface():
    wide = extract_surface(ball(sharpness=20.0), 64, threshold=0.3)
    # sigmoid(20 (r0 - r)) = 0.3
    expected = 0.25 - np.log(0.3 / 0.7) / 20
    assert np.abs(np.linalg.norm(wide.vertices - CENTRE, axis=1) - expected).max() < 0.1 / 64
