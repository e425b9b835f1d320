"""The pocket behind the lips is where the posed head's mouth is, inside the skin."""

import numpy as np
import pytest
import torch

from pamir_blender.body.load import load_body_model
from pamir_blender.body.posed import pose_body
from pamir_blender.camera import Placement
from pamir_blender.contracts import Body
from pamir_blender.pamir.voxelise import voxelise_occupancy
from pamir_blender.training.mouth import find_mouth


@pytest.fixture(scope="module", params=["upright", "bowed"])
def posed(request):
    model = load_body_model()
    pose, betas = np.zeros((24, 3), np.float32), np.zeros(10, np.float32)
    if request.param == "bowed":
        pose[0], pose[12], pose[15] = (0.2, 2.4, 0.1), (0.4, 0.2, 0.1), (0.3, -0.5, 0.2)
        betas[:3] = 1.5, -1.0, 1.0
    return pose_body(model, Body(betas, pose, Placement(0.44, (0.05, 0.02, 0.1)), model.name))


def border(mouth, radius):
    directions = np.random.default_rng(0).normal(size=(500, 3))
    directions *= radius / np.linalg.norm(directions, axis=1, keepdims=True)
    return mouth.middle + directions @ np.linalg.inv(mouth.axes).T


def test_the_pocket_lies_inside_the_head(posed):
    mouth = find_mouth(posed.template, posed.vertices)
    volume = voxelise_occupancy(torch.from_numpy(posed.vertices)[None], torch.from_numpy(posed.faces), 256)
    x, y, z = np.floor((border(mouth, 0.98) + 0.5) * 256).astype(int).T
    assert volume[0, 0].numpy()[z, y, x].mean() > 0.95
    # Behind the lips: a tenth of a person's height above the shoulders, ahead of the neck.
    head = posed.vertices[posed.skinning_weights[:, 15] > 0.9]
    assert np.linalg.norm(head - mouth.middle, axis=1).min() < 0.04


def test_the_pocket_ends_at_its_radii(posed):
    mouth = find_mouth(posed.template, posed.vertices)
    assert mouth.holds(border(mouth, 0.99)).all()
    assert not mouth.holds(border(mouth, 1.01)).any()
    assert not mouth.holds(posed.vertices.mean(axis=0, keepdims=True)).any()


def test_a_body_without_a_head_has_no_mouth():
    plate = np.zeros((20, 3))
    assert find_mouth(plate, plate) is None
