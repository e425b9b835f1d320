"""The open body fitted under a clothed subject, at rest and posed."""

import numpy as np
import torch

from pamir_blender.training.poses import sample_pose
from pamir_blender.training.registration import follow_pose, register
from pamir_blender.training.subjects import pose_subject, reshaped
from pamir_blender.training.subset_body import SubsetBody, axis_angle_to_matrix


def test_subset_body_is_the_body_model(body_model):
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(2, 10, generator=generator)
    pose = torch.randn(2, 24, 3, generator=generator) * 0.3
    chosen = np.arange(5, 6890, 37)
    vertices, joints = SubsetBody(body_model, chosen)(betas, axis_angle_to_matrix(pose))
    output = body_model(betas, pose)
    torch.testing.assert_close(vertices, output.vertices[:, chosen], atol=2e-5, rtol=0)
    torch.testing.assert_close(joints, output.joints, atol=2e-5, rtol=0)


def test_axis_angle_is_smooth_at_zero():
    vector = torch.zeros(1, 3, requires_grad=True)
    axis_angle_to_matrix(vector)[0, 2, 1].backward()
    torch.testing.assert_close(vector.grad, torch.tensor([[1.0, 0, 0]]))


def test_registration_finds_the_body_under_the_cloth(subject, registered, body_model):
    found = register([subject], body_model, steps=160, stride=5)[0]
    error = np.linalg.norm(found.vertices - registered.vertices, axis=1)
    owner = body_model.skinning_weights.numpy().argmax(axis=1)
    assert error.mean() < 0.012
    assert error[np.isin(owner, [7, 8, 10, 11])].mean() < 0.010  # feet are bare here
    assert error[np.isin(owner, [20, 21, 22, 23])].mean() < 0.010
    assert error[owner == 15].mean() < 0.008
    assert found.residual["head"] < 0.004
    assert found.residual["torso_outside"] < 0.05


def test_body_follows_its_subject(subject, registered, body_model):
    fitting = SubsetBody(body_model, np.arange(0, 6890, 7))
    rng = np.random.default_rng(4)
    rotations = np.stack([sample_pose(rng, subject.joints, mode).rotations for mode in ("stand", "reach")])
    found, translation, error = follow_pose(registered, subject, rotations, fitting)
    # Here subject and body share their rig, so that only the pose correctives differ.
    assert error < 0.004
    np.testing.assert_allclose(found, rotations, atol=0.12)
    assert translation.shape == (2, 3)


def test_posed_body_stays_inside_the_clothes(subject, registered, body, body_model):
    pose = sample_pose(np.random.default_rng(6), subject.joints, "a_pose")
    posed = pose_subject(subject, registered, pose, body, SubsetBody(body_model, np.arange(0, 6890, 7)))
    covered = body_model.skinning_weights.numpy()[:, [3, 6, 9, 1, 2, 4, 5]].sum(axis=1) > 0.9
    assert posed.is_inside(posed.body_vertices[covered]).mean() > 0.97
    np.testing.assert_allclose(posed.body_vertices.mean(axis=0), 0, atol=1e-4)


def test_reshaping_moves_clothes_with_the_body(subject, registered, body):
    betas = registered.betas + np.array([0, 1.5, 0, 0, 0, 0, 0, 0, 0, 0], np.float32)
    wider, moved = reshaped(subject, registered, body, betas)
    shift = moved.vertices - registered.vertices
    assert np.linalg.norm(shift, axis=1).max() > 0.01
    # The subject's vertices are the body's, thickened: they must move alike.
    np.testing.assert_allclose(wider.vertices - subject.vertices, shift, atol=0.006)
    np.testing.assert_array_equal(moved.betas, betas)
    assert wider.vertices[:, 1].min() == np.float32(subject.vertices[:, 1].min())
