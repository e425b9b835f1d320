"""The surface of a field with a photo's mask: mended, but not where something was taken away on purpose."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_mending import HOLE, RESOLUTION, plate, square_mask

from pamir_blender.errors import Cancelled
from pamir_blender.pamir.mending import torn_rays
from pamir_blender.pamir.networks import FieldNetworks

CPU = torch.device("cpu")
BODY = SimpleNamespace(vertices=np.zeros((1, 3), np.float32))


@pytest.fixture
def networks(monkeypatch):
    """Networks whose field is a sheet with a hole of doubt."""
    monkeypatch.setattr(FieldNetworks, "occupancy", lambda self, features: plate(0.45))
    return FieldNetworks(SimpleNamespace(), None, CPU)


def without_the_hole(query):
    """What an edit does to a field that it empties around the hole."""

    def changed(points):
        near = (points[:, :2] - points.new_tensor(HOLE)).norm(dim=1) < 0.08
        return torch.where(near, 0.01 * query(points), query(points))

    return changed


def test_the_hole_is_closed_and_what_it_took_is_counted(networks):
    steps = []
    plain = networks.surface(None, BODY, RESOLUTION)
    found = networks.surface(None, BODY, RESOLUTION, mask=square_mask(), progress=steps.append)
    assert torn_rays(plain.surface, square_mask(), RESOLUTION).any()
    assert not torn_rays(found.surface, square_mask(), RESOLUTION).any()
    assert found.points_evaluated > 2 * plain.points_evaluated
    assert steps == sorted(steps) and steps[-1] == 1.0 and any(0.6 < step < 1.0 for step in steps)


def test_what_was_taken_away_on_purpose_is_not_mended(networks):
    plain = networks.surface(None, BODY, RESOLUTION, change=without_the_hole)
    found = networks.surface(None, BODY, RESOLUTION, mask=square_mask(), change=without_the_hole)
    assert torn_rays(found.surface, square_mask(), RESOLUTION).any()
    # Looked at along the rays of the hole, and not searched again.
    assert plain.points_evaluated < found.points_evaluated < 2 * plain.points_evaluated


def test_mending_can_be_cancelled(networks):
    asked, steps = [], []

    def cancelled():
        asked.append(len(steps) > 0 and steps[-1] >= 0.6)
        return asked[-1]

    with pytest.raises(Cancelled):
        networks.surface(
            None, BODY, RESOLUTION, mask=square_mask(), progress=steps.append, cancelled=cancelled
        )
    assert asked.count(True) == 1 and max(steps) == 0.6
