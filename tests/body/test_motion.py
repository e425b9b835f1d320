"""A body as numbers: where it starts, what moves, and what is held."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from pamir_blender.body.load import load_body_model
from pamir_blender.body.motion import BodyMotion
from pamir_blender.body.objective import BETAS, POSE, SHIFT
from pamir_blender.body.posed import pose_body
from pamir_blender.camera import Placement
from pamir_blender.contracts import JOINT_NAMES, Body
from pamir_blender.errors import RequestError

CHOSEN = np.arange(0, 6000, 97)


@pytest.fixture(scope="module")
def model():
    return load_body_model()


@pytest.fixture
def body(model):
    rng = np.random.default_rng(3)
    pose = rng.normal(0, 0.3, (24, 3)).astype(np.float32)
    betas = rng.normal(0, 1, 10).astype(np.float32)
    return Body(betas, pose, Placement(0.45, (0.02, -0.05, 0.1)), model.name, {"head": 0.5})


def moved(motion, seed=0, size=0.05):
    x = motion.start.copy()
    x[motion.free] += np.random.default_rng(seed).normal(0, size, len(motion.free))
    return x


def test_it_starts_at_the_body(model, body):
    motion = BodyMotion(model, body, (), CHOSEN)
    again = motion.body_at(motion.start)
    expected, found = pose_body(model, body).vertices, pose_body(model, again).vertices
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert again.placement == replace(body.placement, translation=again.placement.translation)
    assert again.confidence == body.confidence


def test_held_joints_keep_their_rotation_to_the_last_bit(model, body):
    motion = BodyMotion(model, body, ("left_elbow", "left_wrist"), CHOSEN)
    found = motion.body_at(moved(motion))
    held = [JOINT_NAMES.index(name) for name in ("left_elbow", "left_wrist")]
    np.testing.assert_array_equal(found.pose[held], body.pose[held])
    others = np.setdiff1d(np.arange(24), held)
    assert (np.abs(found.pose[others] - body.pose[others]).max(axis=1) > 1e-3).all()
    assert np.abs(found.betas - body.betas).max() > 1e-3


def test_a_held_pelvis_holds_the_whole_body_in_place(model, body):
    motion = BodyMotion(model, body, ("pelvis",), CHOSEN)
    found = motion.body_at(moved(motion))
    np.testing.assert_array_equal(found.pose[0], body.pose[0])
    assert found.placement.translation == pytest.approx(body.placement.translation)


def test_scale_and_depth_never_change(model, body):
    motion = BodyMotion(model, body, (), CHOSEN)
    found = motion.body_at(moved(motion)).placement
    assert found.scale == body.placement.scale
    assert found.translation[2] == body.placement.translation[2]


@pytest.mark.parametrize("part", [slice(0, 3), POSE, BETAS, SHIFT])
def test_the_jacobian_is_the_vertices_motion(model, body, part):
    """Up to the pose correctives, which the closed form leaves out."""
    plain = without_correctives(model)
    motion = BodyMotion(plain, body, (), CHOSEN)
    step = np.zeros(86)
    step[part] = np.random.default_rng(1).normal(0, 1e-3, len(step[part]))
    forth, back = (
        pose_body(plain, motion.body_at(motion.start + sign * step)).vertices[CHOSEN] for sign in (1, -1)
    )
    expected = motion.jacobian(motion.start) @ step[motion.free]
    np.testing.assert_allclose((forth - back) / 2, expected, atol=3e-6)


def without_correctives(model):
    plain = copy.deepcopy(model)
    plain.posedirs.zero_()
    plain._flat_posedirs.zero_()
    return plain


def test_an_unknown_joint_is_refused(model, body):
    with pytest.raises(RequestError, match="left_tail"):
        BodyMotion(model, body, ("left_tail",), CHOSEN)
