"""The mirror solution of a limb in depth."""

import numpy as np
import pytest

from pamir_blender.contracts import JOINT_PARENTS
from pamir_blender.depth_flip import FLIP_LIMBS, flip_depth, foreshortening
from pamir_blender.errors import RequestError
from pamir_blender.joint_limits import JOINT_HIGH, JOINT_LOW

# A person of plain numbers in the T-pose: metres, left = +x.
REST = np.zeros((24, 3))
for _joint, _step in {
    1: (0.08, -0.09, 0), 2: (-0.08, -0.09, 0), 3: (0, 0.12, 0), 4: (0.03, -0.38, 0.01), 5: (-0.03,
    -0.38, 0.01), 6: (0, 0.13, 0), 7: (-0.01, -0.40, -0.03), 8: (0.01, -0.40, -0.03), 9: (0, 0.06, 0),
    10: (0.03, -0.06, 0.12), 11: (-0.03, -0.06, 0.12), 12: (0, 0.21, 0), 13: (0.07, 0.11, 0), 14:
    (-0.07, 0.11, 0), 15: (0, 0.09, 0.03), 16: (0.11, 0.04, 0), 17: (-0.11, 0.04, 0), 18: (0.26, -0.01,
    -0.02), 19: (-0.26, -0.01, -0.02), 20: (0.25, 0.01, 0), 21: (-0.25, 0.01, 0), 22: (0.08, -0.01, 0),
    23: (-0.08, -0.01, 0),
}.items():  # fmt: skip
    REST[_joint] = REST[JOINT_PARENTS[_joint]] + _step


def matrix(vector):
    angle = np.linalg.norm(vector)
    x, y, z = vector / max(angle, 1e-30)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def joints(pose):
    """Posed joints (24, 3) by the textbook's recursion, independent of the code under test."""
    turn, place = [None] * 24, np.zeros((24, 3))
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent < 0:
            turn[joint], place[joint] = matrix(pose[joint]), REST[joint]
        else:
            turn[joint] = turn[parent] @ matrix(pose[joint])
            place[joint] = place[parent] + turn[parent] @ (REST[joint] - REST[parent])
    return place


def random_pose(seed):
    """A pose well inside the limits, so that no limit intervenes."""
    rng = np.random.default_rng(seed)
    low, high = 0.6 * JOINT_LOW, 0.6 * JOINT_HIGH
    pose = rng.uniform(low, high)
    for wide in (18, 19, 20, 21, 22, 23, 4, 5, 7, 8, 10, 11):  # narrow across the hinge
        pose[wide] *= 0.5
    pose[0] = rng.normal(0, 0.4, 3)
    return pose


@pytest.mark.parametrize("limb", FLIP_LIMBS)
@pytest.mark.parametrize("seed", range(4))
def test_it_looks_the_same_and_lies_the_other_way_in_depth(limb, seed):
    pose = random_pose(seed)
    flipped = flip_depth(pose, REST, limb)
    root, *outer = FLIP_LIMBS[limb]
    before, after = joints(pose), joints(flipped)
    np.testing.assert_allclose(after[outer, :2], before[outer, :2], atol=1e-9)
    np.testing.assert_allclose(
        after[outer[0]] - after[root], (before[outer[0]] - before[root]) * [1, 1, -1], atol=1e-9
    )
    np.testing.assert_allclose(
        after[outer[:2], 2] - after[root, 2], before[root, 2] - before[outer[:2], 2], atol=1e-9
    )


@pytest.mark.parametrize("limb", FLIP_LIMBS)
def test_nothing_else_moves(limb):
    pose = random_pose(5)
    flipped = flip_depth(pose, REST, limb)
    others = [joint for joint in range(24) if joint not in FLIP_LIMBS[limb]]
    np.testing.assert_array_equal(flipped[others], pose[others])
    assert np.abs(flipped - pose).max() > 0.05


@pytest.mark.parametrize("limb", FLIP_LIMBS)
def test_twice_is_the_first_pose_again(limb):
    pose = random_pose(7)
    pose[10:12] *= 0.3
    twice = flip_depth(flip_depth(pose, REST, limb), REST, limb)
    np.testing.assert_allclose(twice, pose, atol=1e-5)


@pytest.mark.parametrize(
    ("limb", "hinge", "axis", "bend"), [("left_arm", 18, 1, -1.2), ("right_leg", 5, 0, 0.9)]
)
def test_elbows_and_knees_go_on_bending_the_way_they_can(limb, hinge, axis, bend):
    pose = np.zeros((24, 3))
    pose[hinge, axis] = bend
    pose[FLIP_LIMBS[limb][0], 2] = 0.3
    flipped = flip_depth(pose, REST, limb)
    assert flipped[hinge, axis] == pytest.approx(bend, abs=0.1)
    assert np.abs(np.delete(flipped[hinge], axis)).max() < 0.2


def test_joint_limits_hold_unless_the_pose_was_beyond_them_before():
    pose = np.zeros((24, 3))
    pose[18] = [1.3, -1.0, 0.3]  # mirrored exactly, this elbow would be turned to the other end of its range
    pose[20] = [2.0, 0.0, 0.0]  # beyond its limit already
    flipped = flip_depth(pose, REST, "left_arm")
    for joint in (18, 20, 22):
        assert (flipped[joint] >= np.minimum(JOINT_LOW[joint], pose[joint]) - 0.16).all()
        assert (flipped[joint] <= np.maximum(JOINT_HIGH[joint], pose[joint]) + 0.16).all()


def test_foreshortening_is_the_share_of_depth():
    pose = np.zeros((24, 3))
    assert foreshortening(pose, REST, "left_arm") < 0.05
    pose[16, 1] = -np.pi / 2  # the arm forwards
    assert foreshortening(pose, REST, "left_arm") > 0.95
    assert foreshortening(pose, REST, "right_arm") < 0.05
    pose[0, 1] = (
        np.pi / 2
    )  # the whole body turned: the arm lies across the picture now, the other one along it
    assert foreshortening(pose, REST, "left_arm") < 0.05
    assert foreshortening(pose, REST, "right_arm") > 0.95


@pytest.mark.parametrize("function", [flip_depth, foreshortening])
def test_only_limbs_are_flipped(function):
    with pytest.raises(RequestError, match="left_arm"):
        function(np.zeros((24, 3)), REST, "torso")
