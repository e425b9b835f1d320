"""Each measure on a case whose answer is known by hand."""

import numpy as np
import pytest
import torch

pytest.importorskip("igl", reason="libigl is not installed (extra 'train')")
trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed (extra 'train')")

from pamir_blender.camera import CropWindow  # noqa: E402
from pamir_blender.training.box_change import BoxChange  # noqa: E402
from pamir_blender.training.evaluation.case import BodyShape, Case  # noqa: E402
from pamir_blender.training.evaluation.data_set import given_photo  # noqa: E402
from pamir_blender.training.evaluation.measures import (  # noqa: E402
    aligned_error,
    depth_offset,
    front_depth,
    joint_error,
    regressed_joints,
    scores_of,
)


def ball(radius, centre=(0.0, 0.0, 0.0)):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return (np.asarray(mesh.vertices) + centre).astype(np.float32), np.asarray(mesh.faces)


def test_joints_moved_sideways_err_by_that_much():
    truth = np.random.default_rng(0).normal(size=(24, 3))
    assert joint_error(truth + np.array([0.005, 0, 0]), truth, 0.5) == pytest.approx(
        1.0
    )  # 0.01 m at 0.5 box units a metre


def test_a_turned_scaled_and_moved_skeleton_errs_by_nothing_once_aligned():
    truth = np.random.default_rng(1).normal(size=(24, 3))
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    found = 2.5 * truth @ turn + [1, 2, 3]
    assert aligned_error(found, truth) == pytest.approx(0, abs=1e-12)
    # A mirror image is not the same pose.
    assert aligned_error(truth * [1, 1, -1], truth) > 0.3


def test_one_wrong_joint_counts_a_twentyfourth():
    truth = np.zeros((24, 3))
    found = truth.copy()
    found[5] = [0.12, 0, 0]
    assert joint_error(found, truth, 1.0) == pytest.approx(12.0 / 24)


def test_a_common_depth_is_free_only_where_it_is_unknown():
    truth = np.zeros((24, 3))
    found = truth + np.array([0, 0, 0.1])
    found[7, 2] += 0.24
    assert joint_error(found, truth, 1.0) == pytest.approx(11.0)
    assert joint_error(found, truth, 1.0, depth_free=True) == pytest.approx(1.0)


def test_unknown_joints_are_left_out():
    truth = np.full((24, 3), np.nan)
    truth[3:5] = 0
    found = np.ones((24, 3))
    found[3:5] = [0.02, 0, 0.5]
    assert joint_error(found, truth, 1.0, depth_free=True) == pytest.approx(2.0)
    assert np.isnan(joint_error(found, np.full((24, 3), np.nan), 1.0))


def test_regressed_joints_are_the_models_at_rest(body_model):
    posed = body_model(torch.zeros(1, 10), torch.zeros(1, 24, 3))
    np.testing.assert_allclose(
        regressed_joints(body_model, posed.rest_vertices[0].numpy()), posed.joints[0].numpy(), atol=2e-3
    )


def test_front_depth_is_the_nearest_surface():
    depth = front_depth(ball(0.2, (0, 0, 0.1)), 64)
    assert depth[32, 32] == pytest.approx(0.3, abs=2e-3)
    assert depth[0, 0] == -np.inf
    assert np.isfinite(depth).mean() == pytest.approx(np.pi * 0.2**2, abs=0.01)


def test_the_depth_offset_undoes_a_shift():
    assert depth_offset(ball(0.2, (0, 0, 0.07)), ball(0.2)) == pytest.approx(-0.07, abs=1e-4)
    assert depth_offset(ball(0.1, (0.3, 0.3, 0)), ball(0.1, (-0.3, -0.3, 0))) == 0.0


@pytest.mark.parametrize(("depth_free", "wanted"), [(False, 2.5), (True, 0.0)])
def test_surfaces_are_compared_after_the_free_depth(body_model, depth_free, wanted):
    picture = np.full((512, 512, 3), 255, np.uint8)
    photo = given_photo("ball", picture, np.zeros((512, 512), np.float32))
    body = BodyShape(body_model.template.numpy() * 0.4, body_model.faces.numpy(), body_model.template.numpy())
    joints = regressed_joints(body_model, body.vertices)
    case = Case("ball", photo, ball(0.2), 0.5, body, joints, depth_free)
    scores = scores_of(case, ball(0.2, (0, 0, 0.025)), body.vertices, body_model, samples=2000)
    # Sideways parts of the ball move along themselves: of a shift s the mean distance is s / 2.
    assert scores["point_to_surface"] == pytest.approx(wanted, abs=0.06)
    assert scores["depth_shift"] == pytest.approx(-5.0 if depth_free else 0.0, abs=0.02)
    assert scores["silhouette_iou"] == pytest.approx(1.0)
    assert scores["mpjpe"] == pytest.approx(0.0, abs=1e-6)
    assert scores_of(case, ball(0.2), None, body_model, samples=500)["mpjpe"] is None


def test_a_crop_moves_points_as_it_moves_pixels():
    # A crop that shows the picture's right upper quarter, twice as large.
    change = BoxChange(CropWindow(2.0, (-512.0, 0.0)), 512)
    assert change.factor == 2.0
    points = np.array([[0.25, 0.25, 0.1], [0.0, 0.5, -0.05]])
    np.testing.assert_allclose(change.points(points), [[0.0, 0.0, 0.2], [-0.5, 0.5, -0.1]], atol=1e-12)


def test_a_picture_of_twice_the_pixels_is_the_same_box():
    change = BoxChange(CropWindow(0.5, (0.0, 0.0)), 1024)
    points = np.array([[0.3, -0.2, 0.1]])
    np.testing.assert_allclose(change.points(points), points, atol=1e-12)
