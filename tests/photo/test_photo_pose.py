"""The landmark network on painted people whose joints and mask are known."""

from __future__ import annotations

import numpy as np
import pytest

from pamir_blender.contracts import LANDMARK_MIRROR
from pamir_blender.errors import BackendError, NoPersonError, RequestError, WeightsError
from pamir_blender.photo.detect import Detector, Person, choose, prominence, shared_detector
from pamir_blender.photo.mask import detected_mask, landmarks_inside
from pamir_blender.photo.model_files import POSE_DETECTION, POSE_LANDMARK
from pamir_blender.photo.pose import consensus, find_pose, refine_by_heatmaps

# BlazePose landmark -> SMPL joint
SAME_PLACE = {11: 16, 12: 17, 13: 18, 14: 19, 15: 20, 16: 21, 25: 4, 26: 5, 27: 7, 28: 8}


@pytest.fixture(scope="module")
def detector():
    return shared_detector(1)


@pytest.fixture(scope="module")
def refined(detector, standing):
    people = detector.people(standing[0])
    assert len(people) == 1
    return detector.refine(standing[0], people[0])


def test_landmarks_lie_on_the_joints(refined, standing):
    pose, spread = refined
    joints = standing[2]
    error = [np.linalg.norm(pose.image[landmark] - joints[joint]) for landmark, joint in SAME_PLACE.items()]
    assert np.mean(error) < 10  # of a 440 pixel tall person
    assert max(error) < 25
    assert pose.score > 0.9
    assert pose.visibility[11:].min() > 0.5
    assert spread.shape == (33,)
    assert spread.mean() < 0.06


def test_world_axes_are_the_body_frames(refined):
    """Facing the viewer: the left side at +x, the head at +y, the nose before the ears."""
    world = refined[0].world
    assert world[11, 0] - world[12, 0] > 0.2
    assert world[0, 1] > 0.4
    assert world[[27, 28], 1].max() < -0.5
    assert world[0, 2] > world[[7, 8], 2].max()
    np.testing.assert_allclose(world[[23, 24]].mean(0), 0, atol=1e-6)


def test_depth_grows_towards_the_viewer(refined, standing):
    pose, _ = refined
    assert pose.depth[0] > pose.depth[[7, 8]].max()
    assert pose.depth[[23, 24]].mean() == pytest.approx(0, abs=1e-6)


def test_seen_from_behind_left_and_right_follow_the_person(detector, painter):
    from painted_people import backdrop

    image = backdrop(600, 480)
    vertices, joints = painter.posed(yaw=np.pi)
    painter.paint(image, vertices, (235.0, 270.0), 260.0)
    pose, _ = detector.refine(image, detector.people(image)[0])
    assert pose.image[11, 0] < pose.image[12, 0]
    assert joints[16, 0] < joints[17, 0]
    assert pose.world[11, 0] < pose.world[12, 0] - 0.2


def test_mirroring_and_turning_the_picture_turns_the_answer(detector, standing, refined):
    image = standing[0]
    mirrored = np.ascontiguousarray(image[:, ::-1])
    pose, _ = detector.refine(mirrored, detector.people(mirrored)[0])
    expected = refined[0].image[LANDMARK_MIRROR] * [-1, 1] + [image.shape[1], 0]
    assert np.linalg.norm(pose.image - expected, axis=1).mean() < 4
    turned = np.ascontiguousarray(np.rot90(image))  # counter-clockwise: (u, v) -> (v, width - u)
    pose, _ = detector.refine(turned, detector.people(turned)[0])
    expected = refined[0].image[:, ::-1] * [1, -1] + [0, image.shape[1]]
    assert np.linalg.norm(pose.image - expected, axis=1).mean() < 8


def test_the_mirrored_view_agrees(detector, standing, refined):
    region = refined[0].region
    plain = find_pose(standing[0], region, detector.landmark)
    mirrored = find_pose(standing[0], region, detector.landmark, mirrored=True)
    assert np.linalg.norm(plain.image - mirrored.image, axis=1).mean() < 0.015 * region.size
    assert np.linalg.norm(plain.world - mirrored.world, axis=1).mean() < 0.06
    assert np.abs(plain.mask - mirrored.mask).mean() < 0.02


def test_mirror_order_swaps_pairs():
    np.testing.assert_array_equal(LANDMARK_MIRROR[LANDMARK_MIRROR], np.arange(33))
    pairs = [(1, 4), (2, 5), (3, 6), (7, 8), (9, 10), *((i, i + 1) for i in range(11, 33, 2))]
    for left, right in pairs:
        assert LANDMARK_MIRROR[left] == right
    assert LANDMARK_MIRROR[0] == 0


def test_consensus_is_the_median_and_spread_shows_the_odd_view(detector, standing, refined):
    from dataclasses import replace

    pose = find_pose(standing[0], refined[0].region, detector.landmark)
    odd = replace(pose, image=pose.image + 50, world=pose.world + np.array([0.3, 0, 0]))
    agreed, spread = consensus([pose, odd, pose])
    np.testing.assert_allclose(agreed.image, pose.image)
    np.testing.assert_allclose(spread, 0.1)


def test_heat_maps_move_a_point_to_their_peak():
    heat = np.full((64, 64, 39), -20.0, np.float32)
    heat[31, 22, 0] = heat[31, 23, 0] = 5.0
    points = np.full((39, 2), 400.0)  # outside the maps
    points[0] = [84.0, 120.0]
    points[1] = [84.0, 120.0]  # its map is empty
    moved = refine_by_heatmaps(points, heat)
    np.testing.assert_allclose(moved[0], [22.5 * 4, 31 * 4], atol=0.05)
    np.testing.assert_array_equal(moved[1:], points[1:])


def test_the_mask_matches_the_truth(refined, standing):
    image, truth, _ = standing
    mask = detected_mask(image, refined[0], [])
    assert mask.shape == truth.shape
    assert mask.dtype == np.float32
    found = mask > 0.5
    assert (found & truth).sum() / (found | truth).sum() > 0.97
    assert landmarks_inside(mask, refined[0]) > 0.95
    assert landmarks_inside(1 - mask, refined[0]) < 0.5


def test_nobody_is_found_where_nobody_is(detector):
    from painted_people import backdrop

    assert detector.people(backdrop(240, 320)) == []


def test_several_people_are_all_found_and_ordered(detector, painter):
    from painted_people import backdrop

    image = backdrop(700, 1100)
    vertices, _ = painter.posed(yaw=0.3)
    places = [(150.0, (180.0, 300.0)), (260.0, (500.0, 330.0)), (200.0, (900.0, 350.0))]
    for scale, hips in places:
        painter.paint(image, vertices, hips, scale)
    people = detector.people(image)
    assert [round(person.pose.image[[23, 24], 0].mean() / 100) for person in people] == [5, 9, 2]
    assert people[0].prominence > people[1].prominence > people[2].prominence
    boxed = detector.people(image, np.array([100.0, 150.0, 270.0, 480.0]))
    assert boxed[0].pose.image[[23, 24], 0].mean() == pytest.approx(180, abs=20)


def test_a_small_person_in_a_large_picture_is_found(detector, painter):
    from painted_people import backdrop

    image = backdrop(1400, 2000)
    vertices, _ = painter.posed(yaw=0.3)
    painter.paint(image[500:900, 300:600], vertices, (150.0, 160.0), 110.0)
    people = detector.people(image)
    assert len(people) == 1
    np.testing.assert_allclose(people[0].pose.image[[23, 24]].mean(0), [450, 665], atol=15)


def test_choosing(refined):
    people = [Person(refined[0], 0.5), Person(refined[0], 0.2)]
    assert choose(people, "photo.jpg", None) is people[0]
    assert choose(people, "photo.jpg", 2) is people[1]
    for number in (0, 3, -1):
        with pytest.raises(RequestError, match=r"2 found in photo\.jpg"):
            choose(people, "photo.jpg", number)
    with pytest.raises(NoPersonError, match=r"photo\.jpg"):
        choose([], "photo.jpg", None)


def test_prominence_prefers_large_and_central(refined):
    from dataclasses import replace

    pose = refined[0]
    size = (600, 480)
    small = replace(pose, image=pose.image * 0.5 + 120)
    aside = replace(pose, image=pose.image - [150, 0])
    assert prominence(pose, size) > prominence(small, size)
    assert prominence(pose, size) > prominence(aside, size)


def test_missing_and_damaged_models_are_named(tmp_path, standing):
    with pytest.raises(BackendError, match=r"fetch_landmark_models\.py"):
        Detector(tmp_path).people(standing[0])
    for file in (POSE_DETECTION, POSE_LANDMARK):
        (tmp_path / file.name).write_bytes(b"\0" * file.size)
    with pytest.raises(WeightsError, match="damaged"):
        Detector(tmp_path).people(standing[0])
