"""Smoothing takes the grid's steps away, and neither volume nor shape."""

import numpy as np
import pytest
import torch

from pamir_blender.pamir.smooth import steps_for, taubin
from pamir_blender.pamir.surface import extract

RADIUS = 0.25


def stairs(points):
    """A ball of whole cells at 128 cells a side: all steps."""
    cells = torch.floor(points * 128) / 128 + 1 / 256
    return (cells.norm(dim=1) < RADIUS).float() * 0.98 + 0.01


def roughness(surface):
    """The mean angle in degrees between the triangles' normals and the ball's."""
    a, b, c = surface.vertices[surface.faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    middle = (a + b + c) / 3
    cosine = (normals * middle).sum(1) / np.linalg.norm(normals, axis=1) / np.linalg.norm(middle, axis=1)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def volume(surface):
    a, b, c = surface.vertices[surface.faces].astype(float).transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def test_steps_become_a_ball_of_the_same_volume():
    rough, smooth = (extract(stairs, 128, smooth=on).surface for on in (False, True))
    np.testing.assert_array_equal(rough.faces, smooth.faces)
    assert roughness(smooth) < 0.75 * roughness(rough)
    assert volume(smooth) == pytest.approx(volume(rough), rel=0.005)
    # More steps, rounder still; the volume stays.
    rounder = taubin(rough.vertices, rough.faces, 40)
    assert np.abs(np.linalg.norm(rounder, axis=1) - RADIUS).mean() < 0.006


def test_a_finger_keeps_its_length_and_thickness():
    def finger(points):
        beside = points[:, :2].norm(dim=1)
        beyond = torch.relu(points[:, 2].abs() - 0.1)
        return torch.sigmoid((0.006 - torch.hypot(beside, beyond)) * 2000)

    rough, smooth = (
        extract(finger, 256, coarse=64, smooth=on, hint=np.zeros((1, 3))) for on in (False, True)
    )
    for axis, allowed in ((2, 0.002), (0, 0.0015)):
        spans = [np.ptp(each.surface.vertices[:, axis]) for each in (rough, smooth)]
        assert abs(spans[0] - spans[1]) < allowed  # box units; a cell is 0.004


def test_a_flat_sheet_of_triangles_does_not_move():
    """Its inner vertices are where their neighbours' mean is already."""
    side = np.arange(12)
    x, y = np.meshgrid(side, side)
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(144)], axis=1).astype(np.float32)
    a = (side[:-1, None] * 12 + side[None, :-1]).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + 13], 1), np.stack([a, a + 13, a + 12], 1)])
    moved = taubin(vertices, faces, 1)
    np.testing.assert_allclose(moved[:, 2], 0)
    inner = (vertices[:, :2] > 3).all(1) & (vertices[:, :2] < 8).all(1)
    np.testing.assert_allclose(moved[inner], vertices[inner], atol=1e-5)


def test_steps_reach_as_far_at_any_resolution():
    assert steps_for(512) == 4 * steps_for(256)
    assert steps_for(64) >= 1
