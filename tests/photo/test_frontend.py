"""From a file to a Photo, on painted people; on real photos where there are any."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from painted_people import backdrop
from PIL import Image

from pamir_blender.camera import CROP_SIZE
from pamir_blender.errors import (
    Cancelled,
    NoPersonError,
    PersonCroppedError,
    PersonTooSmallError,
    PhotoError,
    RequestError,
)
from pamir_blender.photo.detect import shared_detector
from pamir_blender.photo.frontend import prepare_photo

PHOTOS = os.environ.get("PAMIR_PHOTOS")


def prepare(path, **options):
    return prepare_photo(path, detector=shared_detector(1), **options)


def save(path: Path, image: np.ndarray) -> Path:
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="module")
def prepared(standing, tmp_path_factory):
    return prepare(save(tmp_path_factory.mktemp("photo") / "standing.png", standing[0]))


@pytest.fixture(scope="module")
def pair(painter):
    """Two people beside each other, the right one larger; (600, 900, 3)."""
    image = backdrop(600, 900)
    vertices, _ = painter.posed()
    left = painter.paint(image, vertices, (230.0, 290.0), 200.0)
    right = painter.paint(image, vertices, (620.0, 280.0), 260.0)
    return image, left, right


def test_the_contract(prepared, standing):
    image, truth, _ = standing
    photo = prepared
    np.testing.assert_array_equal(photo.image, image)
    assert (photo.mask.shape, photo.mask.dtype) == (image.shape[:2], np.float32)
    assert (photo.crop.shape, photo.crop.dtype) == ((CROP_SIZE, CROP_SIZE, 3), np.uint8)
    assert (photo.crop_mask.shape, photo.crop_mask.dtype) == ((CROP_SIZE, CROP_SIZE), np.float32)
    for name, shape in {"image": (33, 2), "depth": (33,), "world": (33, 3), "spread": (33,)}.items():
        values = getattr(photo.landmarks, name)
        assert (values.shape, values.dtype) == (shape, np.float32)
    assert photo.landmarks.visibility.shape == photo.landmarks.presence.shape == (33,)
    assert photo.mask_source == "detector"
    assert photo.warnings == ()
    assert len(photo.digest) == 64
    found = photo.mask > 0.5
    assert (found & truth).sum() / (found | truth).sum() > 0.97


def test_the_crop_holds_the_person_at_80_percent(prepared):
    rows = np.flatnonzero((prepared.crop_mask > 0.5).any(1))
    assert (rows[-1] - rows[0] + 1) / CROP_SIZE == pytest.approx(0.8, abs=0.02)
    assert (rows[-1] + rows[0]) / 2 == pytest.approx(CROP_SIZE / 2, abs=6)
    assert (prepared.crop[prepared.crop_mask == 0] == 255).all()
    x0, y0, x1, y1 = prepared.person_box
    corners = prepared.window.photo_to_crop(np.array([[x0, y0], [x1, y1]]))
    np.testing.assert_allclose(corners.mean(0), CROP_SIZE / 2, atol=1e-6)


def test_landmarks_are_in_crop_pixels_and_box_units(prepared, standing):
    joints = prepared.window.photo_to_crop(standing[2])
    assert np.linalg.norm(prepared.landmarks.image[[11, 12]] - joints[[16, 17]], axis=1).max() < 20
    nose = prepared.landmarks.image[0]
    assert prepared.crop_mask[int(nose[1]), int(nose[0])] > 0.5
    assert np.abs(prepared.landmarks.depth).max() < 0.5


def test_the_same_photo_gives_the_same_answer(prepared, standing, tmp_path):
    again = prepare(save(tmp_path / "again.png", standing[0]))
    np.testing.assert_array_equal(again.crop, prepared.crop)
    np.testing.assert_array_equal(again.landmarks.image, prepared.landmarks.image)
    np.testing.assert_array_equal(again.mask, prepared.mask)
    assert again.digest == prepared.digest


def test_alpha_is_the_mask_and_hides_the_background(standing, tmp_path):
    image, truth, _ = standing
    cut = np.where(truth[..., None], image, 0).astype(np.uint8)  # black under the clear part
    path = save(tmp_path / "cut.png", np.dstack([cut, (truth * 255).astype(np.uint8)]))
    photo = prepare(path)
    assert photo.mask_source == "alpha"
    np.testing.assert_array_equal(photo.mask > 0.5, truth)
    assert (photo.image[~truth] == 255).all()
    assert (photo.crop[photo.crop_mask == 0] == 255).all()
    edge = (photo.crop_mask > 0.02) & (photo.crop_mask < 0.3)
    assert photo.crop[edge].mean() > 170  # no black fringe


def test_the_artists_mask_wins_and_chooses_the_person(pair, tmp_path):
    image, left, _ = pair
    path = save(tmp_path / "pair.png", image)
    mask = save(tmp_path / "mask.png", (left * 255).astype(np.uint8))
    photo = prepare(path, mask_path=mask)
    assert photo.mask_source == "file"
    np.testing.assert_array_equal(photo.mask > 0.5, left)
    assert photo.window.crop_to_photo(photo.landmarks.image)[[23, 24], 0].mean() == pytest.approx(230, abs=15)
    assert photo.digest != prepare(path).digest


def test_a_mask_file_wins_over_the_photos_alpha(standing, tmp_path):
    image, truth, _ = standing
    alpha = np.full(truth.shape, 255, np.uint8)
    alpha[:40] = 0
    path = save(tmp_path / "both.png", np.dstack([image, alpha]))
    photo = prepare(path, mask_path=save(tmp_path / "mask.png", (truth * 255).astype(np.uint8)))
    assert photo.mask_source == "file"
    np.testing.assert_array_equal(photo.mask > 0.5, truth)
    assert photo.image[:40].min() == 255


def test_masks_that_fit_nobody_are_refused(pair, standing, tmp_path):
    path = save(tmp_path / "one.png", standing[0])
    inverted = save(tmp_path / "inverted.png", (~standing[1] * 255).astype(np.uint8))
    with pytest.raises(PhotoError, match="inverted"):
        prepare(path, mask_path=inverted)
    corner = np.zeros(standing[1].shape, np.uint8)
    corner[:80, :80] = 255
    with pytest.raises(PhotoError, match="covers only 0%"):
        prepare(path, mask_path=save(tmp_path / "corner.png", corner))
    with pytest.raises(PhotoError, match="480 x 600"):
        prepare(path, mask_path=save(tmp_path / "other.png", np.eye(50, dtype=np.uint8)))


def test_several_people(pair, tmp_path):
    image, left, right = pair
    path = save(tmp_path / "pair.png", image)
    prominent, first, second = prepare(path), prepare(path, person=1), prepare(path, person=2)
    assert "2 people" in prominent.warnings[0]
    assert first.warnings == second.warnings == ()
    np.testing.assert_array_equal(prominent.mask, first.mask)
    for photo, truth in ((first, right), (second, left)):
        found = photo.mask > 0.5
        assert (found & truth).sum() / (found | truth).sum() > 0.95
    boxed = prepare(path, box=(100, 60, 360, 560))
    assert np.abs(boxed.mask - second.mask).mean() < 0.002
    with pytest.raises(RequestError, match="2 found"):
        prepare(path, person=3)


def test_boxes_are_checked(pair, tmp_path):
    path = save(tmp_path / "pair.png", pair[0])
    with pytest.raises(NoPersonError, match="box"):
        prepare(path, box=(0, 0, 60, 60))
    for box in ((1, 2, 3), (500, 100, 400, 200), (2000, 0, 3000, 100), (0, 0, float("nan"), 9)):
        with pytest.raises(RequestError, match="box"):
            prepare(path, box=box)


def test_nobody_is_refused(tmp_path):
    with pytest.raises(NoPersonError, match="empty_room"):
        prepare(save(tmp_path / "empty_room.png", backdrop(240, 320)))


@pytest.mark.parametrize("landmark_row", ["eyes", "neck", "chest"])
def test_a_cut_head_is_refused(standing, prepared, tmp_path, landmark_row):
    image, _, joints = standing
    eyes = prepared.window.crop_to_photo(prepared.landmarks.image)[[2, 5], 1].mean()
    row = {"eyes": eyes, "neck": joints[12, 1], "chest": joints[9, 1]}[landmark_row]
    with pytest.raises((PersonCroppedError, NoPersonError)) as caught:
        prepare(save(tmp_path / "headless.png", image[int(row) :]))
    assert "headless.png" in str(caught.value)


def test_cut_feet_are_guessed_with_a_warning_and_half_a_body_is_refused(standing, tmp_path):
    image, _, joints = standing
    photo = prepare(save(tmp_path / "feet.png", image[: int(joints[7, 1]) - 12]))
    assert "left foot" in photo.warnings[0]
    assert photo.person_box[3] > photo.image.shape[0]  # room for what was guessed
    with pytest.raises(PersonCroppedError, match="knees"):
        prepare(save(tmp_path / "half.png", image[: int((joints[1, 1] + joints[4, 1]) / 2)]))


def test_too_small_a_person_is_refused(painter, tmp_path):
    image = backdrop(300, 300)
    painter.paint(image, painter.posed()[0], (150.0, 150.0), 45.0)
    with pytest.raises(PersonTooSmallError, match="pixels"):
        prepare(save(tmp_path / "far.png", image))


def test_progress_and_cancelling(standing, tmp_path):
    path = save(tmp_path / "standing.png", standing[0])
    fractions = []
    prepare(path, progress=fractions.append, cancelled=lambda: False)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    with pytest.raises(Cancelled):
        prepare(path, cancelled=lambda: len(fractions) > 0)


@pytest.mark.photos
@pytest.mark.skipif(not PHOTOS, reason="PAMIR_PHOTOS is not set to a folder of photos")
def test_real_photos():
    paths = sorted(path for path in Path(PHOTOS).iterdir() if path.suffix in {".jpg", ".png"})
    assert paths
    for path in paths:
        if "head_cropped" in path.name:
            with pytest.raises(PersonCroppedError, match="head"):
                prepare(path)
            continue
        photo = prepare(path)
        rows = np.flatnonzero((photo.crop_mask > 0.5).any(1))
        columns = np.flatnonzero((photo.crop_mask > 0.5).any(0))
        assert max(np.ptp(rows) / 0.8, np.ptp(columns) / 0.88) > 0.93 * CROP_SIZE, path.name
        inside = [photo.crop_mask[int(v), int(u)] > 0.5 for u, v in photo.landmarks.image[11:29]]
        assert np.mean(inside) > 0.6, path.name
        assert np.median(photo.landmarks.spread) < 0.12, path.name
