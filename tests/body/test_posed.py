"""A posed body's arrays agree with the body model and with the frames they claim."""

import numpy as np
import torch

from pamir_blender.body.load import load_body_model
from pamir_blender.body.posed import pose_body
from pamir_blender.camera import Placement
from pamir_blender.contracts import Body


def _posed():
    rng = np.random.default_rng(0)
    model = load_body_model()
    pose = rng.normal(0, 0.2, (24, 3)).astype(np.float32)
    betas = rng.normal(0, 1, 10).astype(np.float32)
    body = Body(betas, pose, Placement(0.45, (0.02, 0.05, -0.1)), model.name)
    return model, body, pose_body(model, body)


def test_vertices_are_the_models_in_the_box():
    model, body, posed = _posed()
    out = model(torch.tensor(body.betas)[None], torch.tensor(body.pose)[None])
    expected = out.vertices[0].numpy() * 0.45 + np.array([0.02, 0.05, -0.1])
    np.testing.assert_allclose(posed.vertices, expected, atol=1e-6)


def test_skinning_the_rest_vertices_gives_the_character():
    _, body, posed = _posed()
    rest = posed.template + posed.shapedirs @ body.betas + posed.pose_corrective
    blended = np.einsum("vj,jrc->vrc", posed.skinning_weights, posed.character_transforms()[:, :3])
    skinned = np.einsum("vrc,vc->vr", blended[:, :, :3], rest) + blended[:, :, 3]
    np.testing.assert_allclose(skinned, posed.in_character(), atol=2e-5)
    joints = posed.joints_template + posed.joints_shapedirs @ body.betas
    np.testing.assert_allclose(joints, posed.joints_rest, atol=1e-5)


def test_character_stands_on_the_floor_under_its_pelvis():
    _, _, posed = _posed()
    assert abs(posed.in_character()[:, 1].min()) < 1e-6
    pelvis = posed.character_transforms()[0] @ np.append(posed.joints_rest[0], 1)
    np.testing.assert_allclose(pelvis[[0, 2]], 0, atol=1e-5)
