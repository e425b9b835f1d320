"""The energy of body reference optimisation on cases checked by hand, and its derivative."""

import numpy as np
import pytest
import tiny_networks
import torch

from pamir_blender.body.load import load_body_model
from pamir_blender.body.posed import pose_body
from pamir_blender.camera import Placement
from pamir_blender.contracts import Body
from pamir_blender.pamir.body_energy import BodyEnergy, penalty, penalty_slope
from pamir_blender.pamir.field_features import query_with_slope
from pamir_blender.pamir.networks import FieldNetworks, body_volume


def test_outside_costs_five_times_as_much_as_inside():
    inside, outside = penalty(np.array([0.3, -0.3]))
    assert outside == pytest.approx(5 * inside)
    assert inside == pytest.approx(0.3, abs=0.02)
    assert penalty(np.array([0.0]))[0] == 0


def test_the_wrong_way_round_can_be_told():
    """With eta below 1 the inside would be the dear side, as eq. 11 is printed."""
    inside, outside = penalty(np.array([0.3, -0.3]), eta=0.2)
    assert outside < inside


def test_the_penaltys_slope():
    level = np.linspace(-0.5, 0.5, 41)
    numeric = (penalty(level + 1e-6) - penalty(level - 1e-6)) / 2e-6
    np.testing.assert_allclose(penalty_slope(level)[level != 0], numeric[level != 0], atol=1e-5)
    assert (np.sign(penalty_slope(level)) == np.sign(np.round(level, 9))).all()


@pytest.fixture(scope="module")
def scene():
    model = load_body_model()
    body = Body(
        np.zeros(10, np.float32), np.zeros((24, 3), np.float32), Placement(0.5, (0, -0.1, 0)), model.name
    )
    networks = FieldNetworks(tiny_networks.geometry(), None, torch.device("cpu"))
    posed = pose_body(model, body)
    volume = body_volume(posed, networks.geometry.config.volume, networks.device)
    return networks, posed, volume


def test_values_and_slopes_of_the_field(scene):
    networks, _, volume = scene
    image, _, points = tiny_networks.inputs(points=40)
    # A difference over so short a step would be rounding in bfloat16, which some processors take by default.
    features = networks.geometry.prepare(image, volume, dtype=torch.float32)
    points = points[0] * 0.8
    value, slope = query_with_slope(features, points)
    torch.testing.assert_close(value, networks.geometry.query(features, points), atol=1e-6, rtol=1e-5)
    step = 1e-3
    close = 0
    for axis in range(3):
        move = torch.zeros(3)
        move[axis] = step
        both = (networks.geometry.query(features, points + sign * move) for sign in (1, -1))
        numeric = (next(both) - next(both)) / (2 * step)
        close += (numeric - slope[:, axis]).abs().lt(0.02 * slope.abs().max()).float().mean().item()
    # Linear interpolation has corners between cells, where a difference over them is no derivative.
    assert close / 3 > 0.9


def test_l_b_is_the_mean_penalty_of_the_bodys_own_field(scene):
    networks, posed, volume = scene
    image, _, _ = tiny_networks.inputs()
    maps = type("Maps", (), {"geometry": networks.geometry.prepare(image, volume).image_maps[0]})
    chosen = np.arange(0, 6000, 50)
    value, gradient = BodyEnergy(networks, maps, chosen)(posed)
    field = networks.geometry.prepare(image, volume)
    level = networks.geometry.query(field, torch.from_numpy(posed.vertices[chosen])).numpy() - 0.5
    assert value == pytest.approx(penalty(level).mean(), rel=1e-5)
    assert gradient.shape == (len(chosen), 3)
    assert np.abs(gradient).max() > 0
