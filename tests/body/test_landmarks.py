from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pamir_blender.body import landmarks as module
from pamir_blender.body.landmarks import LANDMARK_NAMES, landmark_weights, load_landmark_model
from pamir_blender.body.load import load_body_model
from pamir_blender.body.model import BodyModel
from pamir_blender.body.skinning import rodrigues
from pamir_blender.errors import BodyModelError


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return load_body_model()


def _index(name: str) -> int:
    return LANDMARK_NAMES.index(name)


def test_weights_sum_to_one_and_mirror() -> None:
    weights = landmark_weights()
    assert weights.shape == (33, 24)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights[_index("right_elbow"), 17] == weights[_index("left_elbow"), 16] == 0.5
    assert weights[_index("right_hip"), 0] == 0.5
    assert weights[_index("nose"), 15] == weights[_index("right_ear"), 15] == 1


def test_landmarks_are_anatomy(model) -> None:
    points = load_landmark_model(model).template.numpy()
    joints = model.joint_template.numpy()
    for name, joint, reach in (
        ("left_elbow", 18, 0.05), ("left_wrist", 20, 0.05), ("left_knee", 4, 0.05), ("left_ankle", 7, 0.05),
        ("left_shoulder", 16, 0.07), ("left_hip", 1, 0.07),
    ):  # fmt: skip
        assert np.linalg.norm(points[_index(name)] - joints[joint]) < reach, name
    skin = model.template.numpy()
    for name in ("nose", "left_eye", "right_ear", "left_heel", "right_foot_index"):
        assert np.linalg.norm(skin - points[_index(name)], axis=1).min() < 0.05, name
    assert points[_index("nose"), 2] > points[_index("left_ear"), 2] + 0.05
    assert points[_index("left_eye"), 1] > points[_index("nose"), 1] > points[_index("mouth_left"), 1]


def test_landmarks_are_symmetric(model) -> None:
    points = load_landmark_model(model).template.numpy()
    for index, name in enumerate(LANDMARK_NAMES):
        if "left" in name:
            other = points[_index(name.replace("left", "right"))]
            np.testing.assert_allclose(points[index] * [-1, 1, 1], other, atol=1e-6)


def test_landmarks_follow_pose_and_betas(model) -> None:
    landmarks = load_landmark_model(model)
    betas = torch.zeros(2, 10)
    betas[1, 0] = 2
    pose = torch.zeros(2, 24, 3)
    pose[0, 18, 1] = -1.5  # the left forearm to the front
    _, transforms = model.pose_joints(betas, pose)
    points = landmarks.positions(betas, transforms)
    rest = landmarks.template
    assert points[0, _index("left_index"), 2] > rest[_index("left_index"), 2] + 0.2
    torch.testing.assert_close(
        points[0, _index("right_index")], rest[_index("right_index")], atol=1e-5, rtol=0
    )
    grown = points[1, _index("nose"), 1] - points[1, _index("left_heel"), 1]
    assert grown > rest[_index("nose"), 1] - rest[_index("left_heel"), 1] + 0.1


def _other_model(model: BodyModel, scale: torch.Tensor, shift: torch.Tensor) -> BodyModel:
    """The open body with other vertices in another order, stretched and moved, as a stranger's SMPL file."""
    order = torch.randperm(model.vertex_count, generator=torch.Generator().manual_seed(0))
    back = torch.argsort(order)
    return BodyModel(
        "smpl", model.template[order] * scale + shift, back[model.faces],
        model.shapedirs[order] * scale[:, None], model.posedirs[order],
        model.joint_regressor[:, order], model.skinning_weights[order],
    )  # fmt: skip


def test_landmarks_of_another_topology(model) -> None:
    scale, shift = torch.tensor([1.06, 1.06, 1.06]), torch.tensor([0.0, -0.22, 0.03])
    expected = load_landmark_model(model).template * scale + shift
    found = load_landmark_model(_other_model(model, scale, shift)).template
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_face_lands_on_the_face_of_another_head(model) -> None:
    """A head a third larger, its joint where it was: face landmarks must grow with it."""
    head = model.skinning_weights[:, 15] > 0.5
    centre = model.joint_template[15]
    template = model.template.clone()
    template[head] = centre + 1.3 * (template[head] - centre)
    other = BodyModel(
        "smpl", template, model.faces, model.shapedirs, model.posedirs, model.joint_regressor,
        model.skinning_weights,
    )  # fmt: skip
    other.joint_template = model.joint_template
    nose = _index("nose")
    found = load_landmark_model(other).template[nose]
    expected = centre + 1.3 * (load_landmark_model(model).template[nose] - centre)
    torch.testing.assert_close(found, expected, atol=6e-3, rtol=0)


def test_the_hunch_is_taken_back_as_far_as_the_person_faces_the_viewer(model) -> None:
    landmarks = load_landmark_model(model)
    assert 0.03 < landmarks.hunch[_index("left_shoulder")] < 0.12
    assert landmarks.hunch[_index("left_hip")].abs() < 0.01
    standing = landmarks.template.numpy().astype(np.float64)
    standing = standing - standing[23:25].mean(axis=0)
    for yaw, share in ((0.0, 1.0), (np.pi / 3, 0.5), (np.pi / 2, 0.0), (np.pi, -1.0)):
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        world = standing @ turn.T
        assert module.facing(world) == pytest.approx(share, abs=1e-6)
        moved = landmarks.upright(world) - world
        np.testing.assert_allclose(moved[:, 2], -share * landmarks.hunch.numpy(), atol=1e-6)
        assert not moved[:, :2].any()


def test_missing_or_damaged_file_is_named(model, tmp_path: Path) -> None:
    with pytest.raises(BodyModelError, match=r"gone\.npz is missing or damaged"):
        load_landmark_model(model, tmp_path / "gone.npz")
    with np.load(module.LANDMARK_FILE) as data:
        changed = {**data, "template": np.zeros((32, 3))}
    path = tmp_path / "short.npz"
    np.savez(path, **changed)
    with pytest.raises(BodyModelError, match="wrong shapes"):
        load_landmark_model(model, path)


def test_gradients_reach_pose_and_betas(model) -> None:
    landmarks = load_landmark_model(model)
    betas = torch.zeros(1, 10, requires_grad=True)
    pose = torch.zeros(1, 24, 3, requires_grad=True)
    _, transforms = model.pose_joints(betas, rodrigues(pose))
    landmarks.positions(betas, transforms).square().sum().backward()
    assert betas.grad.abs().min() > 0
    assert pose.grad[0, [0, 1, 4, 16, 18, 15]].abs().max(dim=1).values.min() > 0
