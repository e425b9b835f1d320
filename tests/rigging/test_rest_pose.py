"""Posing and unposing are inverses, also where a blend of joints is nearly flat."""

import numpy as np
from capsule_figure import JOINTS, transforms_of

from pamir_blender.rigging.rest_pose import pose, unpose
from pamir_blender.rigging.skin_weights import limit_influences, transfer_skin_weights


def test_unposed_and_posed_again_is_the_same(figure):
    joints, weights = transfer_skin_weights(
        figure.body, figure.body_faces, figure.body_weights, figure.vertices, figure.faces
    )
    rest = unpose(figure.vertices, joints, weights, figure.transforms)
    again = pose(rest.vertices, rest.joints, rest.weights, figure.transforms)
    assert np.abs(again - figure.vertices).max() < 1e-5
    # The hands are back at the T-pose's height.
    hand = np.linalg.norm(figure.vertices - figure.joints_posed[22], axis=1) < 0.08
    assert np.abs(rest.vertices[hand][:, 1] - JOINTS[22, 1]).max() < 0.09


def test_the_bodys_own_rest_shape_comes_back(figure):
    joints, weights = limit_influences(figure.body_weights)
    rest = unpose(figure.body, joints, weights, figure.transforms)
    assert not rest.repaired.any()
    assert np.abs(rest.vertices - figure.body_rest).max() < 1e-4
    assert np.array_equal(rest.joints, joints)
    assert np.array_equal(rest.weights, weights)


def test_flat_blends_are_made_rigid_and_stay_exact():
    angles = np.zeros((24, 3))
    angles[18] = [np.radians(178), 0, 0]  # the forearm twisted half a turn
    transforms = transforms_of(angles)
    dense = np.zeros((3, 24))
    dense[0, [16, 18]] = 0.5, 0.5
    dense[1, [16, 18]] = 0.6, 0.4
    dense[2, [16, 18]] = 0.95, 0.05
    joints, weights = limit_influences(dense)
    points = np.array([[0.44, 0.5, 0.02]] * 3, np.float32)
    rest = unpose(points, joints, weights, transforms)
    assert rest.repaired.tolist() == [True, True, False]
    assert np.abs(pose(rest.vertices, rest.joints, rest.weights, transforms) - points).max() < 1e-5
    assert np.abs(rest.vertices - [0.44, 0.46, 0]).max() < 0.2
    assert (rest.weights.sum(1) == 1).all()
    assert np.array_equal(weights, limit_influences(dense)[1]), "the caller's arrays are left alone"
