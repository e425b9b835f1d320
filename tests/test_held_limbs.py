"""Limbs posed where the photo shows none: kept, coloured from where it shows them, and gone from there."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from pamir_blender.body.load import load_body_model
from pamir_blender.body.posed import pose_body
from pamir_blender.body.silhouette import rasterise
from pamir_blender.camera import CropWindow, Placement
from pamir_blender.character import ShownElsewhere, color_vertices
from pamir_blender.contracts import JOINT_NAMES, Body
from pamir_blender.pamir.colour import PhotoVisibility
from pamir_blender.pipeline.held_limbs import hold_limbs, moved_by
from pamir_blender.rigging.mesh import vertex_normals

SHOULDER, WRIST = JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("left_wrist")
HAND = JOINT_NAMES.index("left_hand")


@pytest.fixture(scope="module")
def model():
    return load_body_model()


def posed(model, drop=0.0):
    """A T-pose whose left arm hangs by ``drop`` radians."""
    pose = np.zeros((24, 3), np.float32)
    pose[SHOULDER, 2] = -drop
    placement = Placement(0.45, (0.0, 0.1, 0.0))
    return pose_body(model, Body(np.zeros(10, np.float32), pose, placement, model.name))


def photo_of(body):
    """A photo whose mask is that body's silhouette."""
    return SimpleNamespace(crop_mask=rasterise(body.vertices, body.faces).astype(np.float32))


def field_of(body, clothes=0.006):
    """The field of a network that believes the photo: a clothed body, and nothing elsewhere."""
    normals = vertex_normals(body.vertices, body.faces)

    def query(points):
        from scipy.spatial import cKDTree

        _, index = cKDTree(body.vertices).query(points.numpy())
        out = ((points.numpy() - body.vertices[index]) * normals[index]).sum(axis=1)
        return torch.from_numpy(0.5 - 0.5 * np.tanh((out - clothes) * 1000)).float()

    return query


@pytest.fixture(scope="module")
def scene(model):
    """The photo shows a hanging arm, the artist raised it: (shown, posed, held limbs)."""
    shown, raised = posed(model, 1.2), posed(model, 0.3)
    held = hold_limbs(photo_of(shown), raised, lambda: shown, ["left_shoulder"], field_of(shown))
    return shown, raised, held


def joint(body, number):
    """The middle of the skin that a joint moves, box."""
    return body.vertices[body.skinning_weights[:, number] > 0.6].mean(axis=0)


def test_a_joint_moves_all_that_hangs_on_it():
    names = [JOINT_NAMES[k] for k in moved_by(["left_elbow"])]
    assert names == ["left_elbow", "left_wrist", "left_hand"]
    assert len(moved_by(["pelvis"])) == 24
    assert moved_by([]) == []


def unasked():
    """The body that the photo shows costs a fit; it is asked only where there is something to hold."""
    raise AssertionError("asked for nothing")


def test_nothing_is_held_where_the_photo_shows_it(model):
    shown = posed(model, 1.2)
    assert hold_limbs(photo_of(shown), shown, unasked, ["left_shoulder"], field_of(shown)) is None
    # Moved, but not by the artist: the optimiser's business.
    assert hold_limbs(photo_of(shown), posed(model, 0.3), unasked, [], field_of(shown)) is None


def test_skin_that_pokes_out_of_the_mask_a_little_is_not_held(model):
    """Masks and bodies never fit to the pixel; an artist's small correction stays the photo's matter."""
    shown = posed(model, 1.2)
    photo = photo_of(shown)
    photo.crop_mask = cv2.erode(photo.crop_mask, np.ones((5, 5), np.uint8))
    assert hold_limbs(photo, posed(model, 1.19), unasked, ["left_shoulder"], field_of(shown)) is None


def test_the_raised_arm_is_held_and_nothing_else(scene):
    _, raised, held = scene
    on_arm = raised.skinning_weights[:, moved_by(["left_elbow"])].sum(axis=1) > 0.9
    assert (held.held[on_arm] > 0.9).mean() > 0.95
    other = raised.skinning_weights[:, moved_by(["left_collar"])].sum(axis=1) < 0.1
    assert held.held[other].max() == 0
    assert held.names == ["left_arm"]


def test_the_surface_is_around_the_raised_arm_as_thick_as_its_clothes(scene):
    _, raised, held = scene
    inside, skin = joint(raised, WRIST), joint(raised, HAND)
    assert held.change(np.stack([inside, skin]))[0].min() > 0.9
    assert held.clothes == pytest.approx(0.006, abs=0.003)
    normals = vertex_normals(raised.vertices, raised.faces)
    arm = np.flatnonzero(raised.skinning_weights[:, JOINT_NAMES.index("left_elbow")] > 0.9)
    for step, low, high in ((-0.004, 0.9, 1.0), (held.clothes + 0.006, 0.0, 0.1)):
        values, _ = held.change(raised.vertices[arm] + normals[arm] * step)
        assert low <= np.median(values) <= high


def test_the_field_changes_at_the_limb_alone(scene):
    shown, raised, held = scene
    plain = field_of(shown)
    changed = held.over(plain)
    places = np.stack([joint(raised, WRIST), joint(shown, WRIST), joint(shown, 0), joint(shown, 15)])
    points = torch.from_numpy(places.astype(np.float32))
    before, after = plain(points), changed(points)
    assert before[0] < 0.1 < 0.9 < after[0]  # there now
    assert after[1] < 0.1 < 0.9 < before[1]  # and no longer there
    torch.testing.assert_close(after[2:], before[2:])


def test_colours_come_from_where_the_photo_shows_the_limb(scene):
    shown, raised, held = scene
    normals = {body: vertex_normals(each.vertices, each.faces) for body, each in enumerate((shown, raised))}
    chosen = np.flatnonzero(held.held > 0.9)[::5]
    places, turned, moved = held.where_shown(raised.vertices[chosen], normals[1][chosen])
    assert moved.all()
    np.testing.assert_allclose(places, shown.vertices[chosen], atol=1e-5)
    rigid = raised.skinning_weights[chosen].max(axis=1) > 0.95
    assert rigid.sum() > 20
    assert (turned[rigid] * normals[0][chosen][rigid]).sum(axis=1).mean() > 0.97
    head = np.flatnonzero(raised.skinning_weights[:, 15] > 0.9)[:50]
    places, _, moved = held.where_shown(raised.vertices[head], normals[1][head])
    assert not moved.any()
    np.testing.assert_array_equal(places, raised.vertices[head])


def test_what_the_photo_hides_is_painted_for_the_body_that_it_shows(scene):
    shown, raised, held = scene

    def only(*color):
        return lambda points: torch.tensor([*color, 0.0]).repeat(len(points), 1)

    mask = rasterise(shown.vertices, shown.faces).astype(np.float32)
    blue = np.full((*mask.shape, 3), (0, 0, 255), np.uint8)
    photo = SimpleNamespace(image=blue, mask=mask, window=CropWindow(1.0, (0.0, 0.0)))
    elsewhere = ShownElsewhere(
        held.where_shown, only(0.0, 1.0, 0.0), PhotoVisibility(shown.vertices, shown.faces)
    )
    colours = color_vertices(
        raised.vertices,
        raised.faces,
        photo,
        only(1.0, 0.0, 0.0),
        shown=elsewhere,
        device=torch.device("cpu"),
        cancelled=lambda: False,
    )
    normals = vertex_normals(shown.vertices, shown.faces)
    arm = held.held > 0.9
    behind, front = normals[:, 2] < -0.2, normals[:, 2] > 0.9
    assert (arm & behind).sum() > 50
    np.testing.assert_array_equal(colours[arm & behind], np.full(((arm & behind).sum(), 3), (0, 255, 0)))
    forearm = raised.skinning_weights[:, JOINT_NAMES.index("left_elbow")] > 0.7  # fingers hide one another
    assert (arm & forearm & front).sum() > 10
    np.testing.assert_array_equal(colours[arm & forearm & front][:, :2], 0)  # the photo's own blue
    head = raised.skinning_weights[:, 15] > 0.9
    np.testing.assert_array_equal(colours[head & behind], np.full(((head & behind).sum(), 3), (255, 0, 0)))
