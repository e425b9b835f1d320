"""Holes that the photo contradicts are closed; those that the field is sure of or the mask shows stay."""

import numpy as np
import pytest
import torch

from pamir_blender.pamir.mending import find_mending, torn_rays
from pamir_blender.pamir.surface import extract_surface

RESOLUTION = 128
HOLE = np.array([0.1, 0.05])


def plate(hole_at_best, radius=0.06, half=0.3):
    """A sheet 0.1 deep over a square; within ``radius`` of HOLE the field is ``hole_at_best`` at most."""

    def query(points):
        outside = torch.maximum(points[:, :2].abs().max(dim=1).values - half, points[:, 2].abs() - 0.05)
        sheet = torch.sigmoid(-outside * 150)
        hole = (points[:, :2] - points.new_tensor(HOLE)).norm(dim=1) < radius
        return torch.where(hole, sheet * hole_at_best, sheet)

    return query


def square_mask(half=0.3, size=512):
    place = np.abs((np.arange(size) + 0.5) / size - 0.5) < half
    return (place[:, None] & place[None]).astype(np.float32)


def surface_of(query):
    return extract_surface(query, RESOLUTION, smooth=False)


def test_a_hole_is_seen_where_it_is():
    torn = torn_rays(surface_of(plate(0.45)), square_mask(), RESOLUTION)
    rows, columns = np.nonzero(torn)
    places = np.stack([(columns + 0.5) / len(torn) - 0.5, 0.5 - (rows + 0.5) / len(torn)], axis=1)
    assert np.linalg.norm(places - HOLE, axis=1).max() < 0.06
    assert len(places) / len(torn) ** 2 == pytest.approx(np.pi * 0.06**2, rel=0.3)


def test_a_hole_of_doubt_is_closed_at_its_likeliest_depth():
    query = plate(0.45)
    torn = surface_of(query)
    mending = find_mending(query, torn, square_mask(), RESOLUTION)
    assert mending.needed and mending.points_evaluated > 0
    whole = surface_of(mending.over(query))
    assert not torn_rays(whole, square_mask(), RESOLUTION).any()
    near = np.linalg.norm(whole.vertices[:, :2] - HOLE, axis=1) < 0.03
    depths = whole.vertices[near, 2]
    assert near.sum() > 20
    assert depths.min() == pytest.approx(-0.05, abs=0.02)
    assert depths.max() == pytest.approx(0.05, abs=0.02)


def test_elsewhere_the_field_stays():
    query = plate(0.45)
    raised = find_mending(query, surface_of(query), square_mask(), RESOLUTION).over(query)
    points = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    far = (points[:, :2] - points.new_tensor(HOLE)).norm(dim=1) > 0.12
    torch.testing.assert_close(raised(points)[far], query(points)[far], atol=1e-5, rtol=1e-4)


def test_where_the_field_is_sure_of_nobody_the_hole_stays():
    query = plate(0.05)
    torn = surface_of(query)
    assert torn_rays(torn, square_mask(), RESOLUTION).any()
    assert not find_mending(query, torn, square_mask(), RESOLUTION).needed


def test_a_hole_that_the_mask_shows_too_is_none():
    mask = square_mask()
    axis = (np.arange(512) + 0.5) / 512 - 0.5
    mask[np.hypot(axis[None] - HOLE[0], -axis[:, None] - HOLE[1]) < 0.06] = 0
    query = plate(0.45)
    assert not find_mending(query, surface_of(query), mask, RESOLUTION).needed


def test_a_surface_that_ends_just_inside_the_outline_is_no_hole():
    query = plate(1.0)
    assert not find_mending(query, surface_of(query), square_mask(half=0.31), RESOLUTION).needed


def test_an_empty_mask_mends_nothing():
    query = plate(0.45)
    nothing = find_mending(query, surface_of(query), np.zeros((512, 512), np.float32), RESOLUTION)
    assert not nothing.needed and nothing.points_evaluated == 0
