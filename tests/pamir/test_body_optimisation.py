"""Body reference optimisation: it never ends worse, holds what is held, and stops when told."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pamir_blender.body.load import load_body_model
from pamir_blender.body.posed import pose_body
from pamir_blender.camera import Placement
from pamir_blender.contracts import JOINT_NAMES, Body
from pamir_blender.errors import Cancelled
from pamir_blender.pamir import body_optimisation
from pamir_blender.pamir.body_optimisation import energy_of, optimise_body
from pamir_blender.pamir.networks import load_networks
from pamir_blender.paths import models_dir
from pamir_blender.photo.frontend import prepare_photo

EXAMPLE = models_dir().parent / "examples" / "person.png"


@pytest.fixture(scope="module")
def scene():
    """The example person, and a body for it that is off: an arm and the whole are turned."""
    from pamir_blender.body.fit import fit_body

    model = load_body_model()
    photo = prepare_photo(EXAMPLE)
    good = fit_body(photo, model)
    networks = load_networks("lite", None, torch.device("cpu"), texture=False)
    features = networks.encode(photo, pose_body(model, good), texture=False)
    pose = good.pose.copy()
    pose[JOINT_NAMES.index("left_shoulder")] += np.array([0.1, 0.0, 0.25], np.float32)
    x, y, z = good.placement.translation
    off = replace(good, pose=pose, placement=Placement(good.placement.scale, (x + 0.01, y, z)))
    return model, photo, networks, features, good, off


def distance(model, first, second):
    between = pose_body(model, first).vertices - pose_body(model, second).vertices
    return float(np.linalg.norm(between, axis=1).mean())


def test_the_field_alone_pulls_a_wrong_body_back(scene):
    model, _, networks, features, good, off = scene
    found = optimise_body(networks, features, model, off, iterations=8)
    assert found.kept and found.after.energy < found.before.energy
    assert distance(model, found.body, good) < 0.9 * distance(model, off, good)


def test_the_energy_never_rises_and_is_what_it_says(scene):
    model, photo, networks, features, _, off = scene
    found = optimise_body(networks, features, model, off, photo=photo, iterations=6)
    assert list(found.energy) == sorted(found.energy, reverse=True)
    assert len(found.energy) == 7
    assert found.energy[0] == pytest.approx(energy_of(networks, features, model, off, photo), rel=1e-6)
    report = found.report(50)
    assert report["requested"] == 50 and report["iterations"] == 6
    assert report["after"]["silhouette_iou"] > report["before"]["silhouette_iou"]
    assert report["after"]["landmark_px"] < report["before"]["landmark_px"]


def test_held_joints_stay(scene):
    model, photo, networks, features, _, off = scene
    found = optimise_body(networks, features, model, off, photo=photo, held=("left_shoulder",), iterations=3)
    joint = JOINT_NAMES.index("left_shoulder")
    np.testing.assert_array_equal(found.body.pose[joint], off.pose[joint])
    assert found.kept


def test_a_worse_outline_keeps_the_first_body(scene, monkeypatch):
    model, photo, networks, features, _, off = scene
    started = pose_body(model, off).vertices
    monkeypatch.setattr(
        body_optimisation, "silhouette_iou", lambda v, *_: 0.9 if np.array_equal(v, started) else 0.8
    )
    found = optimise_body(networks, features, model, off, photo=photo, iterations=2)
    assert not found.kept and found.body is off and found.energy[-1] < found.energy[0]
    assert "outline" in found.reason


def test_nothing_to_gain_keeps_the_first_body(scene, monkeypatch):
    model, _, networks, features, good, _ = scene
    rising = iter(range(1000))
    monkeypatch.setattr(
        body_optimisation.BodyEnergy,
        "__call__",
        lambda self, posed: (next(rising), np.zeros((len(self.chosen), 3))),
    )
    found = optimise_body(networks, features, model, good, iterations=20)
    assert not found.kept and found.body is good
    assert len(found.energy) < 20  # it gives up early


def test_cancelling(scene):
    model, _, networks, features, _, off = scene
    calls = []

    def cancelled():
        calls.append(1)
        return len(calls) > 2

    with pytest.raises(Cancelled):
        optimise_body(networks, features, model, off, cancelled=cancelled)
    assert len(calls) == 3
    calls.clear()
    best = optimise_body(networks, features, model, off, cancelled=cancelled, keep_when_cancelled=True)
    assert len(best.energy) == 3
    assert best.kept == (best.energy[-1] < best.energy[0])
    assert not best.kept or "early" in best.reason


def test_no_iterations_change_nothing():
    model = load_body_model()
    body = Body(
        np.zeros(10, np.float32), np.zeros((24, 3), np.float32), Placement(0.5, (0, 0, 0)), model.name
    )
    networks = load_networks("lite", None, torch.device("cpu"), texture=False)
    photo = prepare_photo(EXAMPLE)
    features = networks.encode(photo, pose_body(model, body), texture=False)
    found = optimise_body(networks, features, model, body, iterations=0)
    assert found.body is body and not found.kept and len(found.energy) == 1
