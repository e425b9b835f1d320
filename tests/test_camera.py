"""The frames: each conversion against a value worked out by hand, and back again."""

import numpy as np
import pytest

from pamir_blender import camera


def test_crop_corners_are_box_corners():
    np.testing.assert_allclose(camera.crop_to_box([[0, 0], [512, 512]]), [[-0.5, 0.5], [0.5, -0.5]])


def test_box_to_crop_inverts_crop_to_box():
    points = np.random.default_rng(0).uniform(0, 512, (20, 2))
    np.testing.assert_allclose(camera.box_to_crop(camera.crop_to_box(points)), points)


def test_window_round_trip():
    window = camera.CropWindow(0.4, (12.0, -7.0))
    np.testing.assert_allclose(window.photo_to_crop([100.0, 200.0]), [52.0, 73.0])
    np.testing.assert_allclose(window.crop_to_photo([52.0, 73.0]), [100.0, 200.0])


def test_blender_axes_are_z_up_facing_minus_y():
    np.testing.assert_allclose(camera.character_to_blender([1.0, 2.0, 3.0]), [1.0, -3.0, 2.0])
    np.testing.assert_allclose(camera.blender_to_character([1.0, -3.0, 2.0]), [1.0, 2.0, 3.0])


@pytest.mark.parametrize("size", [(800, 1200), (1200, 800)])
def test_blender_camera_sees_the_photo(size):
    """A photo pixel, taken to the box and on to Blender, lies on the same pixel of the matched camera."""
    window, frame = camera.CropWindow(0.35, (40.0, 9.0)), camera.CharacterFrame(0.45, (0.02, -0.4, 0.1))
    cam = camera.blender_camera(window, frame, size)
    pixel = np.array([123.0, 456.0])
    xy = camera.crop_to_box(window.photo_to_crop(pixel))
    point = camera.character_to_blender(frame.box_to_character(np.array([*xy, 0.3])))
    per_pixel = cam.ortho_scale / max(size)
    u = (point[0] - cam.location[0]) / per_pixel + size[0] / 2
    v = size[1] / 2 - (point[2] - cam.location[2]) / per_pixel
    np.testing.assert_allclose([u, v], pixel, atol=1e-9)


def test_body_offset_moves_body_into_the_character_frame():
    placement, frame = camera.Placement(0.4, (0.1, 0.2, 0.3)), camera.CharacterFrame(0.4, (0.0, -0.4, 0.3))
    body = np.array([0.5, -0.25, 1.0])
    expected = frame.box_to_character(placement.body_to_box(body))
    np.testing.assert_allclose(body + frame.body_offset(placement), expected)
