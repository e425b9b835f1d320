"""Poses: rotations, limits, reach and the rejection of self-penetration."""

import numpy as np
import pytest

from pamir_blender.training.avatars import joint_transforms
from pamir_blender.training.poses import MODES, euler, sample_pose, self_penetrates, two_bone


def posed_joints(joints, rotations):
    transforms = joint_transforms(joints, rotations)
    return np.einsum("jik,jk->ji", transforms[:, :3, :3], joints) + transforms[:, :3, 3]


@pytest.mark.parametrize("mode", MODES)
def test_sampled_poses_are_rotations_that_leave_the_body_free(mode, subject):
    rng = np.random.default_rng(1)
    for _ in range(4):
        pose = sample_pose(rng, subject.joints, mode)
        product = pose.rotations @ pose.rotations.transpose(0, 2, 1)
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), (24, 3, 3)), atol=1e-6)
        np.testing.assert_allclose(np.linalg.det(pose.rotations), 1, atol=1e-6)
        assert not self_penetrates(subject.joints, pose.rotations)


def test_same_seed_same_pose(subject):
    first = sample_pose(np.random.default_rng(5), subject.joints)
    second = sample_pose(np.random.default_rng(5), subject.joints)
    assert first.mode == second.mode
    np.testing.assert_array_equal(first.rotations, second.rotations)


def test_standing_people_have_feet_under_them_and_hands_beside_them(subject):
    rng = np.random.default_rng(2)
    for _ in range(10):
        pose = sample_pose(rng, subject.joints, "stand")
        joints = posed_joints(subject.joints, pose.rotations)
        assert joints[[7, 8], 1].max() < joints[[4, 5], 1].min() < joints[[1, 2], 1].min()
        assert joints[20, 0] > joints[9, 0] > joints[21, 0]
        assert joints[[20, 21], 1].max() < joints[16, 1]


def test_two_bone_chain_puts_the_wrist_on_its_target():
    rng = np.random.default_rng(3)
    for side in (1, -1):
        for _ in range(20):
            direction = rng.normal(size=3)
            target = direction / np.linalg.norm(direction) * rng.uniform(0.15, 0.48)
            turn, bend = two_bone(np.zeros(3), target, rng.normal(size=3), 0.27, 0.24, side)
            elbow = turn @ [side * 0.27, 0, 0]
            forearm = turn @ euler(0, -side * np.degrees(bend), 0) @ [side * 0.24, 0, 0]
            np.testing.assert_allclose(elbow + forearm, target, atol=1e-6)


def test_legs_that_run_through_each_other_are_found(subject):
    rotations = np.tile(np.eye(3), (24, 1, 1))
    rotations[1], rotations[2] = euler(0, 0, -12), euler(0, 0, 12)
    assert self_penetrates(subject.joints, rotations)
    rotations[1], rotations[2] = euler(-25, 0, -12), euler(25, 0, 12)  # crossed, but one before the other
    assert not self_penetrates(subject.joints, rotations)


def test_a_hand_inside_the_chest_is_found(subject):
    joints = subject.joints
    rotations = np.tile(np.eye(3), (24, 1, 1))
    assert not self_penetrates(joints, rotations)
    upper = np.linalg.norm(joints[18] - joints[16])
    lower = np.linalg.norm(joints[20] - joints[18])
    turn, bend = two_bone(joints[16], joints[6], np.array([1.0, -1, 0]), upper, lower, 1)
    rotations[16], rotations[18] = turn, euler(0, -np.degrees(bend), 0)
    assert self_penetrates(joints, rotations)


def test_posing_moves_rigid_parts_rigidly(subject):
    rotations = np.tile(np.eye(3), (24, 1, 1))
    rotations[18] = euler(0, -70, 0)
    vertices, joints = subject.posed(rotations)
    hand = subject.weights[:, [20, 22]].sum(axis=1) > 0.999
    still = subject.weights[:, [18, 20, 22]].sum(axis=1) < 1e-6
    np.testing.assert_allclose(vertices[still], subject.vertices[still], atol=1e-5)
    before = np.linalg.norm(subject.vertices[hand] - subject.joints[18], axis=1)
    np.testing.assert_allclose(np.linalg.norm(vertices[hand] - joints[18], axis=1), before, atol=1e-4)
    assert np.linalg.norm(vertices[hand] - subject.vertices[hand], axis=1).min() > 0.2
