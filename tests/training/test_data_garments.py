"""Added garments and hair: closed, around the person, and known to the subject's inside test."""

from dataclasses import replace

import numpy as np
import pytest

from pamir_blender.training.draping import AROUND, CUT_EASE, CUT_FLARE, Drape, drape
from pamir_blender.training.exposed import exposed_faces, is_exposed
from pamir_blender.training.garments import add_garments
from pamir_blender.training.hair import STYLES
from pamir_blender.training.patterns import cloth_tile, hair_tile, recolored
from pamir_blender.training.poses import sample_pose
from pamir_blender.training.sampling import inside
from pamir_blender.training.solids import signed_volume
from pamir_blender.training.subjects import pose_subject
from pamir_blender.training.subset_body import SubsetBody


@pytest.fixture(scope="module")
def posed(subject, registered, body, body_model):
    pose = sample_pose(np.random.default_rng(9), subject.joints, "walk")
    return pose_subject(subject, registered, pose, body, SubsetBody(body_model, np.arange(0, 6890, 7)))


def added_mesh(posed, dressed):
    faces = dressed.subject.faces[len(posed.subject.faces) :]
    return dressed.vertices, faces


def assert_closed(faces):
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges.tolist()}
    assert all((b, a) in forward for a, b in forward)


@pytest.mark.parametrize("garment", ["skirt", "dress", "coat", "robe"])
def test_garments_are_closed_solids_around_the_legs(posed, garment):
    dressed, what = add_garments(np.random.default_rng(1), posed, garment, "none")
    vertices, faces = added_mesh(posed, dressed)
    assert what.startswith(garment)
    assert_closed(faces)
    assert signed_volume(vertices, faces) > 0.002
    assert dressed.subject.uv.min() >= 0
    assert dressed.subject.uv.max() <= 1
    assert dressed.vertices.shape == dressed.normals.shape == (len(dressed.subject.weights), 3)
    assert np.isfinite(dressed.vertices).all()


def test_a_skirt_fills_the_gap_between_the_legs(posed):
    dressed, _ = add_garments(np.random.default_rng(3), posed, "skirt", "none")
    _, faces = added_mesh(posed, dressed)
    owner = posed.subject.weights.argmax(axis=1)
    left, right = posed.vertices[owner == 1], posed.vertices[owner == 2]
    height = posed.vertices[np.isin(owner, [1, 2])][:, 1].mean()
    level = np.abs(np.concatenate([left, right])[:, 1] - height) < 0.02
    between = np.concatenate([left, right])[level].mean(axis=0)
    assert dressed.is_inside(between[None]).all()
    assert dressed.vertices[np.unique(faces)][:, 1].max() < posed.vertices[owner == 15][:, 1].min()


def test_a_coat_is_filled_but_for_the_slice_of_its_open_front():
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    heights = np.linspace(-0.9, 0.1, 80)
    ring = np.stack([np.cos(angles), np.zeros(24), np.sin(angles)], axis=1) * 0.06
    legs = [ring + np.array([side, y, 0]) for y in heights for side in (-0.15, 0.15)]
    piece = Drape(length=0.8, ease=0.03, flare=0.1, taper=0.1, fold_depth=0.0, folds=6, gap=0.3)
    coat = drape(
        np.random.default_rng(0),
        np.concatenate(legs),
        np.zeros(3),
        np.array([0, 1.0, 0]),
        piece,
        cloth_tile(np.random.default_rng(0)),
        -2.0,
    )
    assert_closed(coat.faces)
    between, behind, before, beside = [0.05, -0.4, -0.02], [0, -0.4, -0.06], [0, -0.4, 0.05], [0.2, -0.4, 0]
    told = inside(coat.vertices, coat.faces, np.array([between, behind, before, beside], np.float32))
    np.testing.assert_array_equal(told, [True, True, False, True])


def hung(apart, flare=0.05):
    """A skirt of 0.9 m about two legs, the feet ``apart`` metres from each other along z."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angles), np.zeros(24), np.sin(angles)], axis=1) * 0.09
    legs = [
        ring + np.array([side * 0.09, y, side * apart / 2 * -y])
        for y in np.linspace(-1.0, 0.1, 90)
        for side in (-1, 1)
    ]
    piece = Drape(length=0.9, ease=0.01, flare=flare, taper=0.0, fold_depth=0.0, folds=6)
    up, tile = np.array([0, 1.0, 0]), cloth_tile(np.random.default_rng(0))
    return drape(np.random.default_rng(0), np.concatenate(legs), np.zeros(3), up, piece, tile, -2.0)


def rings_of(part):
    """(K, AROUND, 3) of a closed tube."""
    return part.vertices[:-2].reshape(-1, AROUND, 3)


def around(ring):
    return np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1).sum()


def test_cloth_is_no_longer_around_than_it_was_cut():
    for apart in (0.0, 0.4, 0.7, 1.0):
        rings = rings_of(hung(apart))
        waist, hem = around(rings[0]), around(rings[-1])
        length = rings[0, :, 1].mean() - rings[-1, :, 1].mean()
        assert hem < waist + 2 * np.pi * (CUT_EASE + (0.05 + CUT_FLARE) * length) + 0.05


def test_over_a_wide_stride_cloth_rides_up():
    hems = [rings_of(hung(apart))[-1, :, 1].mean() for apart in (0.0, 0.6, 1.0)]
    assert hems[0] == pytest.approx(-0.9, abs=0.03)
    assert hems[0] < hems[1] - 0.1 < hems[2] - 0.2


def test_a_wide_skirt_takes_a_stride_that_a_narrow_one_does_not():
    assert rings_of(hung(0.7, flare=0.3))[-1, :, 1].mean() < rings_of(hung(0.7))[-1, :, 1].mean() - 0.1


def test_what_would_be_too_short_is_not_worn():
    assert hung(9.0) is None


@pytest.mark.parametrize("style", STYLES)
def test_hair_covers_the_crown_but_not_the_face(posed, style):
    dressed, what = add_garments(np.random.default_rng(2), posed, "none", style)
    _, faces = added_mesh(posed, dressed)
    assert what.endswith(style)
    assert_closed(faces)
    rest, owner = posed.subject.vertices, posed.subject.weights.argmax(axis=1)
    crown = np.argmax(rest[:, 1])
    nose = np.argmax(
        np.where((owner == 15) & (rest[:, 1] > posed.subject.joints[15, 1] - 0.01), rest[:, 2], -9)
    )
    outside = posed.vertices[[crown, nose]] + posed.normals[[crown, nose]] * 0.003
    np.testing.assert_array_equal(dressed.is_inside(outside), [True, False])


def test_tiles_are_pictures_of_one_size():
    rng = np.random.default_rng(0)
    for _ in range(12):
        assert cloth_tile(rng).shape == hair_tile(rng).shape == (256, 256, 3)


def test_recolouring_keeps_the_face(subject):
    colored = recolored(np.random.default_rng(0), subject)
    assert colored.texture.shape == subject.texture.shape
    head = subject.weights[:, 15] > 0.95
    at = np.clip((subject.uv[head] * 64).astype(int), 0, 63)
    before, after = subject.texture[at[:, 1], at[:, 0]], colored.texture[at[:, 1], at[:, 0]]
    assert np.abs(before.astype(int) - after).mean() < 4
    assert np.abs(subject.texture.astype(int) - colored.texture).mean() > 5


def test_what_clothes_cover_is_no_surface_of_the_person(posed):
    """Under a long skirt the legs are buried: neither sampled nor part of the true mesh."""
    dressed, _ = add_garments(np.random.default_rng(3), posed, "skirt", "none")
    outside = exposed_faces(dressed)
    own = len(posed.subject.faces)
    assert len(exposed_faces(posed)) > 0.95 * own
    kept = {tuple(face) for face in outside.tolist()}
    owner = posed.subject.weights.argmax(axis=1)
    thighs = posed.subject.faces[np.isin(owner[posed.subject.faces], (1, 2)).all(axis=1)]
    head = posed.subject.faces[(owner[posed.subject.faces] == 15).all(axis=1)]
    assert np.mean([tuple(face) in kept for face in thighs.tolist()]) < 0.1
    assert np.mean([tuple(face) in kept for face in head.tolist()]) > 0.95
    middle = dressed.vertices[outside].mean(axis=1)
    a, b, c = dressed.vertices[outside].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    assert is_exposed(dressed, middle, normal).all()


def test_the_pocket_behind_the_lips_is_full(posed):
    """Avatars have air there; clothes and hair keep it full."""
    middle = posed.mouth.middle[None]
    assert posed.is_inside(middle).all()
    dressed, _ = add_garments(np.random.default_rng(1), posed, "skirt", "long")
    for person in (posed, dressed):
        elsewhere = replace(person, vertices=person.vertices + np.float32(3.0))
        assert elsewhere.is_inside(middle).all()
        assert not replace(elsewhere, mouth=None).is_inside(middle).any()
