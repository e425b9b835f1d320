import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from pamir_blender.training.depth_shift import depth_shift, nearest_vertices, shift_along, to_shares
from pamir_blender.training.losses import occupancy_loss, texture_loss
from pamir_blender.training.schedule import Budget, learning_rate


def test_depth_shift_by_hand():
    """Four vertices at known distances from one point; a fifth, farther, must not count."""
    true = np.array([[0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.3], [-0.4, 0, 0], [0.5, 0, 0]])
    estimated = true.copy()
    errors = np.array([0.01, -0.02, 0.03, 0.04, 100.0])
    estimated[:, 2] += errors
    estimated[:, 0] += 7.0  # in-plane errors never move a point
    sigma = 0.5
    weights = [math.exp(-d / (2 * sigma**2)) for d in (0.1, 0.2, 0.3, 0.4)]
    expected = sum(w * e for w, e in zip(weights, errors[:4], strict=True)) / sum(weights)
    assert expected == pytest.approx(0.02922 / 2.487, abs=1e-5)  # weights 0.819, 0.670, 0.549, 0.449
    shift = depth_shift(np.zeros((1, 3)), true, estimated, sigma=sigma)
    assert shift == pytest.approx([expected], abs=1e-7)
    # Without sigma: Gaussians as wide as the nearest vertex (0.1) is far.
    weights = [math.exp(-(d**2) / (2 * 0.1**2)) for d in (0.1, 0.2, 0.3, 0.4)]
    expected = sum(w * e for w, e in zip(weights, errors[:4], strict=True)) / sum(weights)
    assert depth_shift(np.zeros((1, 3)), true, estimated) == pytest.approx([expected], abs=1e-7)


def test_stored_neighbours_give_the_same_shift_to_a_byte():
    rng = np.random.default_rng(1)
    true = rng.normal(size=(400, 3)) * 0.2
    estimated = true + rng.normal(size=(400, 3)) * 0.05
    points = rng.normal(size=(300, 3)) * 0.3
    index, weight = nearest_vertices(cKDTree(true), points)
    np.testing.assert_allclose(weight.sum(axis=1), 1.0)
    stored = shift_along(estimated[:, 2] - true[:, 2], index.astype(np.uint16), to_shares(weight))
    np.testing.assert_allclose(stored, depth_shift(points, true, estimated), atol=2e-3)


def test_depth_shift_of_a_rigid_move_is_that_move_everywhere():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(300, 3)) * 0.2
    estimated = true + np.array([0.03, -0.02, 0.05])
    points = rng.normal(size=(200, 3))  # far ones too: the weights must not underflow to 0 / 0
    assert depth_shift(points, true, estimated) == pytest.approx(np.full(200, 0.05), abs=1e-6)
    assert depth_shift(points, true, estimated, sigma=0.005) == pytest.approx(np.full(200, 0.05), abs=1e-6)


def test_depth_shift_refuses_bodies_of_different_models():
    with pytest.raises(ValueError, match="shape"):
        depth_shift(np.zeros((1, 3)), np.zeros((5, 3)), np.zeros((6, 3)))


def test_occupancy_loss_by_hand_and_over_stages():
    logits = torch.tensor([[0.0, math.log(3.0)]])  # probabilities 0.5 and 0.75
    labels = torch.tensor([[1.0, 0.0]])
    mse = (0.25 + 0.5625) / 2
    bce = (math.log(2.0) + math.log(4.0)) / 2
    assert float(occupancy_loss([logits], labels, "mse")) == pytest.approx(mse)
    assert float(occupancy_loss([logits], labels, "bce")) == pytest.approx(bce)
    assert float(occupancy_loss([logits, logits, logits], labels, "mse")) == pytest.approx(3 * mse)
    weighted = occupancy_loss([logits], labels, "mse", torch.tensor([[3.0, 1.0]]))
    assert float(weighted) == pytest.approx((3 * 0.25 + 0.5625) / 4)


def test_occupancy_loss_refuses_nonsense():
    with pytest.raises(ValueError, match="stage"):
        occupancy_loss([], torch.zeros(1, 1))
    with pytest.raises(ValueError, match="unknown"):
        occupancy_loss([torch.zeros(1, 1)], torch.zeros(1, 1), "l1")


def test_texture_loss_by_hand():
    rgba = torch.tensor([[[0.2, 0.4, 0.6, 0.25]]])
    photo = torch.tensor([[[1.0, 0.0, 0.6]]])
    colors = torch.tensor([[[0.5, 0.5, 0.5]]])
    # Blended by hand: 0.25 of the photo, 0.75 of the prediction = (0.4, 0.3, 0.6).
    parts = texture_loss(rgba, photo, colors, visible=torch.tensor([[True]]), alpha_weight=0.5)
    assert float(parts["raw"]) == pytest.approx((0.3 + 0.1 + 0.1) / 3)
    assert float(parts["blended"]) == pytest.approx((0.1 + 0.2 + 0.1) / 3)
    assert float(parts["alpha"]) == pytest.approx(-math.log(0.25))
    assert float(parts["hue"]) == pytest.approx((0.2 + 0.0 + 0.2) / 3)
    assert float(parts["total"]) == pytest.approx((0.5 + 0.4 + 2.0 * 0.4) / 3 + 0.5 * -math.log(0.25))
    without = texture_loss(rgba, photo, colors, hue_weight=0.0)
    assert float(without["total"]) == pytest.approx((0.5 + 0.4) / 3)


def test_budget_counts_minutes_or_steps():
    assert Budget(minutes=2).fraction(step=5, elapsed_seconds=30) == pytest.approx(0.25)
    assert Budget(steps=20).fraction(step=5, elapsed_seconds=1e9) == pytest.approx(0.25)
    assert Budget(steps=20).fraction(step=99, elapsed_seconds=0) == 1.0
    for wrong in ({}, {"minutes": 1.0, "steps": 1}, {"steps": 0}):
        with pytest.raises(ValueError, match="--minutes or --steps"):
            Budget(**wrong)


def test_learning_rate_warms_up_and_falls():
    rates = [learning_rate(i / 1000, 1e-3) for i in range(1001)]
    top = max(range(1001), key=rates.__getitem__)
    assert top == 20
    assert rates[20] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(2e-5)
    assert all(a >= b for a, b in itertools.pairwise(rates[20:]))
