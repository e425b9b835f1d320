"""Decimation, charts, packing and baking."""

import numpy as np
import pytest
from capsule_figure import surface

from pamir_blender.errors import Cancelled
from pamir_blender.rasterise import fragments
from pamir_blender.rigging.atlas import build_atlas
from pamir_blender.rigging.bake import bake_texture, fill_gaps
from pamir_blender.rigging.decimate import decimate
from pamir_blender.rigging.mesh import edges, face_normals, face_pairs, is_closed, vertex_normals
from pamir_blender.rigging.preview import sample_texture

SIZE = 1024


def texels(corner_uv, size=SIZE):
    return fragments(np.stack([corner_uv[..., 0], 1 - corner_uv[..., 1]], -1) * size, (size, size))


def hits(atlas, size=SIZE):
    found = texels(atlas.corner_uv, size)
    count = np.zeros((size, size), int)
    np.add.at(count, (found.row, found.column), 1)
    return count, found


def test_mesh_facts(figure):
    assert is_closed(figure.faces)
    assert not is_closed(figure.faces[1:])
    assert not is_closed(np.concatenate([figure.faces[:-1], figure.faces[-1:, ::-1]]))
    assert len(edges(figure.faces)) == len(face_pairs(figure.faces)) == 3 * len(figure.faces) // 2
    ball, faces = surface(lambda p: np.linalg.norm(p, axis=1) - 0.3)
    assert (np.einsum("vx,vx->v", vertex_normals(ball, faces), ball) > 0.29).all()


def test_decimation_keeps_shape_and_closedness(figure):
    vertices, faces = decimate(figure.vertices, figure.faces, 4000)
    assert is_closed(faces)
    assert len(faces) <= 4000 < len(figure.faces)

    def volume(v, f):
        return np.einsum("fx,fx->f", v[f[:, 0]].astype(float), face_normals(v, f)).sum() / 6

    assert volume(vertices, faces) == pytest.approx(volume(figure.vertices, figure.faces), rel=0.02)
    same, same_faces = decimate(vertices, faces, 5000)
    assert np.array_equal(same, vertices)
    assert np.array_equal(same_faces, faces)


@pytest.mark.parametrize("with_parts", [False, True])
def test_charts_do_not_overlap_and_keep_their_distance(figure, with_parts):
    middle = figure.vertices[figure.faces].mean(1)
    parts = (middle[:, 0] > 0.17) * 1 + (middle[:, 1] > 0.05) * 2 if with_parts else None
    atlas = build_atlas(figure.vertices, figure.faces, parts=parts, size=SIZE, padding=4)
    assert atlas.corner_uv.min() >= 0
    assert atlas.corner_uv.max() <= 1
    edge, other = (atlas.corner_uv[:, i] - atlas.corner_uv[:, 0] for i in (1, 2))
    assert (edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0] > -1e-9).all(), "no face is turned over"
    count, found = hits(atlas)
    assert (count > 1).sum() <= 20
    assert atlas.utilisation > 0.25
    assert (count > 0).mean() == pytest.approx(atlas.utilisation, abs=0.01)
    chart = np.full((SIZE, SIZE), -1)
    chart[found.row, found.column] = atlas.chart[found.face]
    for down, right in ((0, 1), (1, 0), (0, 3), (3, 0), (2, 2)):
        one, two = chart[: SIZE - down, : SIZE - right], chart[down:, right:]
        assert ((one == two) | (one < 0) | (two < 0)).all()


def test_every_face_has_its_share_of_the_texture(figure):
    atlas = build_atlas(figure.vertices, figure.faces, size=SIZE)
    edge, other = (atlas.corner_uv[:, i].astype(float) - atlas.corner_uv[:, 0] for i in (1, 2))
    flat = (edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0]) / 2
    true = np.linalg.norm(face_normals(figure.vertices, figure.faces), axis=1) / 2
    density = flat[true > 1e-9] / true[true > 1e-9]
    density /= np.median(density)
    assert np.quantile(density, 0.02) > 0.5
    assert density.max() < 1.5


def test_what_hides_itself_is_cut():
    """A coil: seen from above, its turns lie over each other."""

    def coil(p):
        angle = np.arctan2(p[:, 2], p[:, 0])
        height = (p[:, 1] - 0.02 * angle + 0.06) % 0.12 - 0.06
        ring = np.hypot(np.hypot(p[:, 0], p[:, 2]) - 0.3, height) - 0.035
        return np.maximum(ring, np.abs(p[:, 1]) - 0.3)

    vertices, faces = surface(coil, step=0.022, extent=0.36)
    assert (hits(build_atlas(vertices, faces, size=SIZE))[0] > 1).sum() < 20


def test_crumbs_still_fit():
    """Hundreds of separate tetrahedra, each of several charts."""
    corner = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32) * 0.01
    place = np.random.default_rng(0).uniform(-0.5, 0.5, (500, 1, 3)).astype(np.float32)
    vertices = (place + corner).reshape(-1, 3)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    faces = (faces + 4 * np.arange(500)[:, None, None]).reshape(-1, 3)
    atlas = build_atlas(vertices, faces, size=SIZE)
    assert 0 <= atlas.corner_uv.min() < atlas.corner_uv.max() <= 1
    assert (hits(atlas)[0] > 1).sum() == 0


def test_baked_colours_are_those_of_the_surface(figure):
    atlas = build_atlas(figure.vertices, figure.faces, size=SIZE)
    asked = []

    def colour(at):
        assert np.abs(np.linalg.norm(at.normals, axis=1) - 1).max() < 1e-5
        assert np.abs(at.interpolate(figure.vertices) - at.points).max() < 1e-5
        asked.append(len(at.points))
        return 0.5 + 0.4 * at.points

    fractions = []
    texture = bake_texture(
        figure.vertices,
        figure.faces,
        atlas.corner_uv,
        colour,
        size=SIZE,
        chunk=50000,
        progress=fractions.append,
    )
    assert texture.shape == (SIZE, SIZE, 3)
    assert texture.dtype == np.uint8
    assert max(asked) <= 50000
    assert fractions[-1] == 1
    share = np.random.default_rng(0).dirichlet([1, 1, 1], len(figure.faces)).astype(np.float32)
    uv = np.einsum("fc,fcx->fx", share, atlas.corner_uv)
    points = np.einsum("fc,fcx->fx", share, figure.vertices[figure.faces])
    error = np.abs(sample_texture(texture, uv) - 255 * (0.5 + 0.4 * points)).max(1)
    # Along the seams as well, within the change of colour over two texels.
    assert (error > 3).mean() < 2e-3
    with pytest.raises(Cancelled):
        bake_texture(
            figure.vertices, figure.faces, atlas.corner_uv, colour, size=SIZE, cancelled=lambda: True
        )


def test_gaps_take_the_nearest_colour():
    texture = np.zeros((20, 30, 3), np.uint8)
    filled = np.zeros((20, 30), bool)
    texture[5, 5], texture[5, 25] = (10, 20, 30), (200, 100, 0)
    filled[5, [5, 25]] = True
    full = fill_gaps(texture, filled)
    assert (full[:, :14] == (10, 20, 30)).all()
    assert (full[:, 17:] == (200, 100, 0)).all()
    with pytest.raises(ValueError, match="no texel"):
        fill_gaps(texture, filled & False)
