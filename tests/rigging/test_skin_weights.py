"""Weights follow the mesh, not mere nearness; they are exactly normalised and few."""

import numpy as np
from capsule_figure import bone_weights, surface

from pamir_blender.contracts import LIMBS
from pamir_blender.rigging.mesh import edges
from pamir_blender.rigging.skin_weights import (
    dense_weights,
    limit_influences,
    transfer_skin_weights,
)


def transfer(figure, vertices, faces):
    joints, weights = transfer_skin_weights(
        figure.body, figure.body_faces, figure.body_weights, vertices, faces
    )
    return dense_weights(joints, weights), joints, weights


def test_four_joints_that_sum_to_exactly_one(figure):
    _, joints, weights = transfer(figure, figure.vertices, figure.faces)
    assert joints.dtype == np.uint8
    assert weights.dtype == np.float32
    assert weights.shape == (len(figure.vertices), 4)
    assert weights.min() >= 0
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        total = np.zeros(len(weights), np.float32)
        for column in order:
            total += weights[:, column]
        assert (total == 1).all()
    for row, parts in zip(joints[::50], weights[::50], strict=True):
        used = row[parts > 0]
        assert len(set(used.tolist())) == len(used)
    assert (joints[weights == 0] == 0).all()


def test_an_arm_beside_the_torso_keeps_its_own_weights(figure):
    dense, _, _ = transfer(figure, figure.vertices, figure.faces)
    hand = np.linalg.norm(figure.vertices - figure.joints_posed[21], axis=1) < 0.1
    assert dense[hand][:, list(LIMBS["right_arm"])].sum(1).min() > 0.99
    # The forearm's inner side looks at the hip a few centimetres away.
    forearm = np.linalg.norm(figure.vertices - figure.joints_posed[20], axis=1) < 0.15
    arm = dense[:, list(LIMBS["left_arm"])].sum(1)
    low = forearm & (figure.vertices[:, 0] > 0.2)
    assert arm[low].min() > 0.95
    waist = (np.abs(figure.vertices[:, 1]) < 0.05) & (np.abs(figure.vertices[:, 0]) < 0.1)
    assert arm[waist].max() < 0.05


def test_weights_equal_the_bodys_where_the_cloth_is_tight(figure):
    dense, _, _ = transfer(figure, figure.body, figure.body_faces)
    assert np.abs(dense - figure.body_weights).sum(1).mean() < 0.12


def test_a_patch_that_only_lies_near_a_hand_is_not_the_hands(figure):
    """A pad on the hip, part of the torso's mesh, reaching up to the palm."""
    dense, _, _ = transfer(figure, figure.vertices, figure.faces)
    hand = figure.joints_posed[20]
    pad = (np.linalg.norm(figure.vertices - hand, axis=1) < 0.25) & (np.abs(figure.vertices[:, 0]) < 0.14)
    assert pad.sum() > 5
    assert dense[pad][:, [18, 20, 22]].sum(1).max() < 0.1


def test_a_skirt_hangs_between_the_legs_without_steps(figure):
    def skirt(p):
        width = 0.14 - 0.25 * (p[:, 1] + 0.1)
        return np.maximum(np.hypot(p[:, 0], p[:, 2] * 1.3) - width, np.abs(p[:, 1] + 0.35) - 0.3)

    vertices, faces = surface(skirt)
    dense, _, _ = transfer(figure, vertices, faces)
    ends = edges(faces)
    assert np.abs(dense[ends[:, 0]] - dense[ends[:, 1]]).sum(1).max() < 0.5
    hem = (vertices[:, 1] < -0.5) & (vertices[:, 1] > -0.62)
    left, right = (dense[:, list(LIMBS[side])].sum(1) for side in ("left_leg", "right_leg"))
    # Each side goes mostly with its own leg, the middle with both.
    assert (left - right)[hem & (vertices[:, 0] > 0.18)].mean() > 0.2
    assert (right - left)[hem & (vertices[:, 0] < -0.18)].mean() > 0.2
    middle = hem & (np.abs(vertices[:, 0]) < 0.02)
    assert np.abs(left[middle] - right[middle]).mean() < 0.5


def test_a_loose_piece_far_from_the_body_still_has_weights(figure):
    far = figure.vertices.max(0) + 1
    vertices = np.concatenate([figure.vertices, far + np.eye(3, dtype=np.float32) * 0.01])
    faces = np.concatenate([figure.faces, [[len(vertices) - 3, len(vertices) - 2, len(vertices) - 1]]])
    dense, _, _ = transfer(figure, vertices, faces)
    assert np.isfinite(dense).all()
    assert np.allclose(dense.sum(1), 1)


def test_limit_keeps_the_largest():
    dense = np.zeros((2, 24))
    dense[0, [3, 7, 11, 15, 20]] = [0.4, 0.3, 0.15, 0.1, 0.05]
    dense[1, 5] = 0.2
    joints, weights = limit_influences(dense)
    assert joints[0].tolist() == [3, 7, 11, 15]
    assert np.allclose(weights[0], np.array([0.4, 0.3, 0.15, 0.1]) / 0.95, atol=1e-4)
    assert joints[1].tolist() == [5, 0, 0, 0]
    assert weights[1].tolist() == [1, 0, 0, 0]


def test_dense_and_limited_agree():
    points = np.random.default_rng(0).normal(0, 0.3, (100, 3))
    joints, weights = limit_influences(bone_weights(points))
    assert np.allclose(dense_weights(joints, weights).sum(1), 1)
    assert (np.diff(weights, axis=1) <= 1e-4).all()
