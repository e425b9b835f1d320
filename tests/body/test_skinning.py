from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from pamir_blender.body.load import load_body_model
from pamir_blender.body.skinning import (
    forward_kinematics,
    linear_blend_skinning,
    matrix_to_axis_angle,
    rodrigues,
)
from pamir_blender.contracts import JOINT_PARENTS
from pamir_blender.errors import BodyModelError

smplx = pytest.importorskip("smplx")


def test_rodrigues_matches_scipy() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 3)) * 2
    vectors[:3] = [[0, 0, 0], [1e-7, 0, 0], [0, 3e-5, 1e-5]]
    expected = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(rodrigues(torch.from_numpy(vectors)).numpy(), expected, atol=1e-9)


def test_axis_angle_round_trip_up_to_half_a_turn() -> None:
    rng = np.random.default_rng(1)
    axes = rng.normal(size=(100, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.concatenate(
        [rng.uniform(0, np.pi, 90), [0, 1e-9, 1e-4, 1e-3, 3.14159, np.pi - 1e-6, 2, 1, 3, 3.1]]
    )
    vectors = torch.from_numpy(axes * angles[:, None])
    back = rodrigues(matrix_to_axis_angle(rodrigues(vectors)))
    torch.testing.assert_close(back, rodrigues(vectors), atol=1e-6, rtol=0)


def test_rodrigues_gradient_at_and_near_zero() -> None:
    start = torch.tensor(
        [[0.0, 0, 0], [1e-6, -2e-6, 0], [0.3, 0.2, -1.0], [2.0, 1.0, 0.5]], dtype=torch.float64
    )
    assert torch.autograd.gradcheck(rodrigues, start.requires_grad_(True), eps=1e-6, atol=1e-5)


def test_skinning_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    parents = (-1, 0, 1, 1)
    rest = torch.randn(1, 4, 3, generator=generator, dtype=torch.float64)
    weights = torch.softmax(torch.randn(5, 4, generator=generator, dtype=torch.float64), dim=1)
    vertices = torch.randn(1, 5, 3, generator=generator, dtype=torch.float64)

    def posed(pose: torch.Tensor, vertices: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        _, transforms = forward_kinematics(rodrigues(pose), rest, parents)
        return linear_blend_skinning(vertices, weights, transforms)

    pose = torch.randn(1, 4, 3, generator=generator, dtype=torch.float64)
    inputs = tuple(value.requires_grad_(True) for value in (pose, vertices, rest))
    assert torch.autograd.gradcheck(posed, inputs, eps=1e-6, atol=1e-5)


def test_kinematics_of_a_chain_by_hand() -> None:
    rest = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
    quarter = rodrigues(torch.tensor([0, 0, np.pi / 2], dtype=torch.float32))
    turns = torch.stack([torch.eye(3), quarter, torch.eye(3)])[None]
    joints, transforms = forward_kinematics(turns, rest, (-1, 0, 1))
    torch.testing.assert_close(
        joints[0], torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]]), atol=1e-6, rtol=0
    )
    moved = transforms[0, 2] @ torch.tensor([3.0, 0, 0, 1])
    torch.testing.assert_close(moved[:3], torch.tensor([1.0, 2, 0]), atol=1e-6, rtol=0)


def _reference(model) -> smplx.SMPL:
    parents = np.array([2**32 - 1, *JOINT_PARENTS[1:]])
    data = smplx.utils.Struct(
        v_template=model.template.numpy(),
        f=model.faces.numpy(),
        shapedirs=model.shapedirs.numpy(),
        posedirs=model.posedirs.numpy(),
        J_regressor=model.joint_regressor.numpy(),
        weights=model.skinning_weights.numpy(),
        kintree_table=np.stack([parents, np.arange(24)]),
    )
    extra = dict.fromkeys(smplx.vertex_ids.vertex_ids["smplh"], 0)  # its defaults are SMPL's own vertices
    return smplx.SMPL("", data_struct=data, num_betas=10, vertex_ids=extra)


def test_same_as_smplx_to_a_hundredth_of_a_millimetre() -> None:
    model = load_body_model()
    generator = torch.Generator().manual_seed(3)
    betas = torch.randn(4, 10, generator=generator) * 1.5
    pose = torch.randn(4, 24, 3, generator=generator) * 0.6
    pose[0] = 0
    ours = model(betas, pose)
    body_pose, orient = pose[:, 1:].reshape(4, 69), pose[:, 0]
    theirs = _reference(model)(betas=betas, body_pose=body_pose, global_orient=orient)
    torch.testing.assert_close(ours.vertices, theirs.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.joints, theirs.joints[:, :24], atol=1e-5, rtol=0)


def test_matrices_and_axis_angles_pose_alike() -> None:
    model = load_body_model()
    pose = torch.randn(2, 24, 3, generator=torch.Generator().manual_seed(5)) * 0.5
    betas = torch.zeros(2, 10)
    torch.testing.assert_close(
        model(betas, pose).vertices, model(betas, rodrigues(pose)).vertices, atol=1e-6, rtol=0
    )


def test_transforms_reproduce_the_vertices_and_the_joints() -> None:
    model = load_body_model()
    pose = torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(6)) * 0.5
    out = model(torch.ones(1, 10), pose)
    again = linear_blend_skinning(out.rest_vertices, model.skinning_weights, out.transforms)
    torch.testing.assert_close(again, out.vertices)
    carried = (out.transforms[..., :3, :3] @ out.rest_joints[..., None])[..., 0] + out.transforms[..., :3, 3]
    torch.testing.assert_close(carried, out.joints, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 23, 3), (1, 72), (1, 24, 3, 2), (24, 3)])
def test_wrong_pose_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BodyModelError, match="pose"):
        load_body_model()(torch.zeros(1, 10), torch.zeros(shape))


def test_betas_of_another_batch_are_refused() -> None:
    with pytest.raises(BodyModelError, match="Betas"):
        load_body_model()(torch.zeros(2, 10), torch.zeros(1, 24, 3))
