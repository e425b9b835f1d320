from __future__ import annotations

import numpy as np
import pytest
import torch

from pamir_blender.body.load import OPEN_BODY, load_body_model
from pamir_blender.contracts import JOINT_NAMES

LEFT = [i for i, name in enumerate(JOINT_NAMES) if name.startswith("left")]
RIGHT = [JOINT_NAMES.index(JOINT_NAMES[i].replace("left", "right")) for i in LEFT]


@pytest.fixture(scope="module")
def model():
    return load_body_model()


def test_counts_and_size_of_the_file(model) -> None:
    assert model.name == "open"
    assert model.template.shape == (6890, 3)
    assert model.faces.shape == (13776, 3)
    assert OPEN_BODY.stat().st_size < 6e6


def test_mesh_is_closed_and_one_sphere(model) -> None:
    faces = model.faces.numpy()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = {tuple(edge) for edge in edges.tolist()}
    assert len(directed) == len(edges)  # no edge twice in one direction
    assert all((b, a) in directed for a, b in directed)
    assert len(np.unique(faces)) == 6890
    assert 6890 - len(edges) // 2 + len(faces) == 2


def test_faces_point_outwards(model) -> None:
    corners = model.template.numpy()[model.faces.numpy()].astype(float)
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.045 < volume < 0.09  # cubic metres, a grown person


def test_frame_is_smpls(model) -> None:
    joints = dict(zip(JOINT_NAMES, model.joint_template.numpy(), strict=True))
    assert np.linalg.norm(joints["pelvis"]) < 0.01
    assert joints["left_wrist"][0] > 0.5 > -0.5 > joints["right_wrist"][0]
    assert abs(joints["left_wrist"][1] - joints["left_shoulder"][1]) < 0.02  # arms level
    assert joints["left_foot"][2] > joints["left_ankle"][2] + 0.08  # toes to the front
    head = model.template.numpy()[model.skinning_weights.numpy()[:, 15] > 0.9]
    assert head[:, 2].argmax() != head[:, 2].argmin()
    nose = head[head[:, 2].argmax()]
    assert abs(nose[0]) < 0.01
    assert nose[2] > joints["head"][2] + 0.08


def test_joints_are_symmetric(model) -> None:
    joints = model.joint_template.numpy()
    mirrored = joints[RIGHT] * [-1, 1, 1]
    assert np.abs(joints[LEFT] - mirrored).max() < 0.004


def test_weights_sum_to_one_and_are_four_a_vertex(model) -> None:
    weights = model.skinning_weights
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(6890), atol=1e-5, rtol=0)
    assert (weights >= 0).all()
    assert ((weights > 0).sum(dim=1) <= 4).all()
    assert (weights.max(dim=0).values > 0.3).all()  # every joint moves something


def test_regressor_is_sparse_and_convex(model) -> None:
    regressor = model.joint_regressor
    torch.testing.assert_close(regressor.sum(dim=1), torch.ones(24), atol=1e-5, rtol=0)
    assert (regressor >= 0).all()
    assert (regressor > 0).sum(dim=1).max() <= 30


def test_first_beta_is_stature_and_scale_is_human(model) -> None:
    betas = torch.zeros(3, 10)
    betas[1, 0], betas[2, 0] = 1, -1
    y = model(betas, torch.zeros(3, 24, 3)).vertices[..., 1]
    height = y.max(dim=1).values - y.min(dim=1).values
    assert 1.6 < height[0] < 1.8
    assert 0.05 < height[1] - height[0] < 0.13  # about one standard deviation of adults
    assert 0.05 < height[0] - height[2] < 0.13


def test_components_are_ordered_and_orthogonal(model) -> None:
    flat = model.shapedirs.reshape(-1, 10).double()
    size = flat.norm(dim=0)
    assert (size[:-1] >= size[1:] - 1e-3).all()
    cosine = (flat.T @ flat) / size[:, None] / size[None]
    assert (cosine - torch.eye(10)).abs().max() < 0.02


def test_correctives_keep_a_bent_elbow_from_collapsing(model) -> None:
    pose = torch.zeros(1, 24, 3)
    pose[0, 18, 1] = -2.0
    faces = model.faces.numpy()
    weights = model.skinning_weights.numpy()
    near = np.flatnonzero(np.minimum(weights[:, 16], weights[:, 18]) > 0.2)
    touched = faces[np.isin(faces, near).any(axis=1)]

    def bone_distance(vertices: np.ndarray, joint: np.ndarray) -> float:
        return float(np.linalg.norm(vertices[near] - joint, axis=1).mean())

    plain = model(torch.zeros(1, 10), pose, correctives=False)
    full = model(torch.zeros(1, 10), pose)
    elbow = full.joints[0, 18].numpy()
    rest = bone_distance(model.template.numpy(), model.joint_template[18].numpy())
    assert len(touched) > 20
    assert abs(bone_distance(full.vertices[0].numpy(), elbow) - rest) < abs(
        bone_distance(plain.vertices[0].numpy(), elbow) - rest
    )


def test_hands_have_separate_fingers(model) -> None:
    weights, template = model.skinning_weights.numpy(), model.template.numpy()
    fingers = np.flatnonzero(weights[:, 22] > 0.9)
    assert len(fingers) > 150
    tips = template[fingers][template[fingers, 0] > template[fingers, 0].max() - 0.05]
    gaps = np.diff(np.sort(tips[:, 2]))
    assert (gaps > 0.002).sum() >= 2
