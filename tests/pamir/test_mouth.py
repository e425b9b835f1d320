"""The pocket behind the lips is where the posed head's mouth is, inside the skin, and filled."""

import numpy as np
import pytest
import torch

from pamir_blender.body.load import load_body_model
from pamir_blender.body.posed import pose_body
from pamir_blender.camera import Placement
from pamir_blender.contracts import Body
from pamir_blender.pamir.mouth import find_mouth
from pamir_blender.pamir.voxelise import voxelise_occupancy


@pytest.fixture(scope="module", params=["upright", "bowed"])
def posed(request):
    model = load_body_model()
    pose, betas = np.zeros((24, 3), np.float32), np.zeros(10, np.float32)
    if request.param == "bowed":
        pose[0], pose[12], pose[15] = (0.2, 2.4, 0.1), (0.4, 0.2, 0.1), (0.3, -0.5, 0.2)
        betas[:3] = 1.5, -1.0, 1.0
    return pose_body(model, Body(betas, pose, Placement(0.44, (0.05, 0.02, 0.1)), model.name))


def test_the_pocket_lies_inside_the_head(posed):
    mouth = find_mouth(posed.template, posed.vertices)
    directions = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.manual_seed(0)), dim=1)
    border = mouth.middle + 0.98 * directions @ torch.linalg.inv(mouth.axes).T
    torch.testing.assert_close(mouth.occupancy(border), torch.full((500,), 0.599), atol=0.01, rtol=0)
    volume = voxelise_occupancy(torch.from_numpy(posed.vertices)[None], torch.from_numpy(posed.faces), 256)
    x, y, z = torch.floor((border + 0.5) * 256).long().T
    assert volume[0, 0, z, y, x].mean() > 0.95
    # Behind the lips: a tenth of a person's height above the shoulders, ahead of the neck.
    head = posed.vertices[posed.skinning_weights[:, 15] > 0.9]
    assert (np.linalg.norm(head - mouth.middle.numpy(), axis=1).min()) < 0.04


def test_a_hollow_head_is_filled_and_the_rest_left_alone(posed):
    mouth = find_mouth(posed.template, posed.vertices)
    field = mouth.over(lambda points: torch.zeros(len(points)))
    places = torch.stack([mouth.middle, torch.from_numpy(posed.vertices.mean(axis=0)), torch.zeros(3)])
    values = field(places.float())
    assert values[0] > 0.99
    assert values[1:].max() < 0.01
    full = mouth.over(lambda points: torch.full((len(points),), 0.7))
    assert full(places.float())[1:].min() == pytest.approx(0.7)


def test_a_body_without_a_head_has_no_mouth():
    plate = np.zeros((20, 3))
    assert find_mouth(plate, plate) is None
