"""The example photo, small: a person in front of an even backdrop."""

import numpy as np

from pamir_blender.training.example_person import standing_pose
from pamir_blender.training.example_picture import render


def test_small_picture_shows_a_person_before_a_plain_backdrop():
    picture = render(np.random.default_rng(3), 1, 1, size=(90, 120))
    assert picture.shape == (120, 90, 3)
    assert picture.dtype == np.uint8
    backdrop = picture[10:100, :12].reshape(-1, 3).astype(float)
    assert backdrop.std(axis=0).max() < 14
    distance = np.abs(picture.astype(float) - backdrop.mean(axis=0)).max(axis=-1) > 45
    rows, columns = np.nonzero(distance)
    assert 0.7 < np.ptp(rows) / 120 < 0.9
    assert 25 < columns.mean() < 65


def test_standing_pose_is_made_of_rotations():
    pose = standing_pose()
    np.testing.assert_allclose(
        pose @ pose.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (24, 3, 3)), atol=1e-9
    )
