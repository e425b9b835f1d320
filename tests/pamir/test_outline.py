"""The outline of a surface goes where the mask's is, if it is near; nothing else of the surface does."""

import numpy as np
import pytest
import torch

from pamir_blender.pamir.outline import covered, onto_outline, outline_iou, signed_distance
from pamir_blender.pamir.surface import extract_surface

RADIUS = 0.25


@pytest.fixture(scope="module")
def ball():
    return extract_surface(lambda points: torch.sigmoid((RADIUS - points.norm(dim=1)) * 100), 128)


def disc(radius, middle=(0.0, 0.0)):
    axis = (np.arange(512) + 0.5) / 512 - 0.5
    return (np.hypot(axis[None] - middle[0], -axis[:, None] - middle[1]) < radius).astype(np.float32)


def radii(vertices):
    return np.linalg.norm(vertices[:, :2], axis=1)


@pytest.mark.parametrize("wanted", [RADIUS - 0.006, RADIUS + 0.006])
def test_an_outline_nearby_is_met(ball, wanted):
    mask = disc(wanted)
    before = outline_iou(ball.vertices, ball.faces, mask)
    moved = onto_outline(ball.vertices, ball.faces, mask)
    assert before < 0.96
    assert outline_iou(moved, ball.faces, mask) > 0.985
    assert radii(moved).max() == pytest.approx(wanted, abs=0.002)


def test_depths_and_what_faces_the_viewer_stay(ball):
    moved = onto_outline(ball.vertices, ball.faces, disc(RADIUS + 0.006))
    np.testing.assert_array_equal(moved[:, 2], ball.vertices[:, 2])
    facing = radii(ball.vertices) < 0.1
    np.testing.assert_allclose(moved[facing], ball.vertices[facing], atol=2e-4)


def test_no_step_runs_beside_the_rim(ball):
    """Neighbours move alike: the mesh stays as smooth as it was."""
    moved = onto_outline(ball.vertices, ball.faces, disc(RADIUS + 0.006)) - ball.vertices
    edges = ball.faces[:, [0, 1]]
    assert np.linalg.norm(moved[edges[:, 0]] - moved[edges[:, 1]], axis=1).max() < 0.3 * 0.006


def test_an_outline_far_away_is_none_of_ours(ball):
    moved = onto_outline(ball.vertices, ball.faces, disc(RADIUS + 0.03))
    np.testing.assert_allclose(moved, ball.vertices, atol=1e-6)


def test_only_the_side_that_is_near_is_moved(ball):
    """A mask that lacks a bite: around the bite nothing happens, elsewhere the outline is met."""
    mask = disc(RADIUS + 0.006)
    mask[:, :180] = 0
    moved = onto_outline(ball.vertices, ball.faces, mask)
    bitten = ball.vertices[:, 0] < -0.19
    np.testing.assert_allclose(moved[bitten], ball.vertices[bitten], atol=3e-3)
    right = ball.vertices[:, 0] > 0.05
    assert radii(moved[right]).max() == pytest.approx(RADIUS + 0.006, abs=0.002)


def test_a_limb_that_leaves_the_mask_keeps_its_thickness():
    """Where an arm crosses the mask's outline, that outline is not the arm's."""

    def field(points):
        trunk = 0.15 - points.norm(dim=1)
        arm = torch.minimum(0.022 - points[:, 1:].norm(dim=1), 0.3 - points[:, 0].abs())
        return torch.sigmoid(torch.maximum(trunk, arm) * 300)

    found = extract_surface(field, 128)
    mask = disc(0.156)
    moved = onto_outline(found.vertices, found.faces, mask)
    arm = np.abs(np.abs(found.vertices[:, 0]) - 0.172) < 0.01
    assert arm.sum() > 100
    np.testing.assert_allclose(moved[arm, 1], found.vertices[arm, 1], atol=8e-4)
    trunk = np.abs(found.vertices[:, 1]) > 0.08
    assert radii(moved[trunk]).max() == pytest.approx(0.156, abs=0.002)


def test_an_empty_mask_moves_nothing(ball):
    np.testing.assert_array_equal(
        onto_outline(ball.vertices, ball.faces, np.zeros((512, 512), np.float32)), ball.vertices
    )


def test_nothing_leaves_the_box():
    box = extract_surface(lambda points: torch.sigmoid((0.497 - points.abs().max(dim=1).values) * 200), 64)
    moved = onto_outline(box.vertices, box.faces, np.ones((512, 512), np.float32))
    assert np.abs(moved).max() <= 0.5


def test_coverage_and_distance_agree_about_the_frame(ball):
    shifted = ball.vertices + np.array([0.1, 0.05, 0], np.float32)
    picture = covered(shifted, ball.faces)
    wanted = disc(RADIUS, (0.1, 0.05)) > 0.5
    assert (picture ^ wanted).mean() < 0.003
    distance = signed_distance(picture)
    row, column = np.unravel_index(distance.argmax(), distance.shape)
    assert (column + 0.5) / 512 - 0.5 == pytest.approx(0.1, abs=0.01)
    assert 0.5 - (row + 0.5) / 512 == pytest.approx(0.05, abs=0.01)
