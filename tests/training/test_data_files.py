"""Avatar files and the command line: damaged input is refused with a sentence."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from pamir_blender.errors import AssetsError
from pamir_blender.training.augment import background, photo_like, ragged_mask, random_toning
from pamir_blender.training.avatars import avatar_list, load_avatar
from pamir_blender.training.make_data import main

ASSETS = Path(os.environ.get("PAMIR_ASSETS", ""))
needs_assets = pytest.mark.skipif(
    not (ASSETS / "valid" / "manifest.json").is_file(),
    reason="set PAMIR_ASSETS to the folder that holds valid/ and makehuman/",
)


def write_assets(folder, content):
    (folder / "valid").mkdir()
    (folder / "valid" / "a.glb").write_bytes(content)
    entry = {"name": "a", "identity": "a", "outfit": "x", "split": "train", "file": "../../a.glb"}
    manifest = {"avatars": [entry], "smpl24": {"pelvis": "Hips"}}
    (folder / "valid" / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a glb file at all",
        b"glTF" + struct.pack("<II", 2, 5000),
        b"glTF" + struct.pack("<II", 2, 12),
    ],
)
def test_damaged_avatars_are_refused_by_name(tmp_path, content):
    write_assets(tmp_path, content)
    entry = avatar_list(tmp_path)[0]
    assert entry["path"].parent == tmp_path / "valid"  # a manifest cannot point elsewhere
    with pytest.raises(AssetsError, match=r"a\.glb"):
        load_avatar(entry)


def test_missing_assets_are_named(tmp_path, capsys, monkeypatch):
    with pytest.raises(AssetsError, match="PAMIR_ASSETS"):
        avatar_list(tmp_path)
    assert main(["--assets", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "manifest" in capsys.readouterr().err
    monkeypatch.delenv("PAMIR_ASSETS", raising=False)
    assert main(["--out", str(tmp_path / "out")]) == 2
    assert "--assets" in capsys.readouterr().err


@needs_assets
@pytest.mark.assets
def test_an_avatar_is_read_as_a_posable_mesh():
    entries = avatar_list(ASSETS)
    avatar = load_avatar(next(entry for entry in entries if "wig" in {m["mesh"] for m in entry["meshes"]}))
    assert avatar.joints.shape == (24, 3)
    assert avatar.faces.max() < len(avatar.vertices) == len(avatar.uv) == len(avatar.weights)
    np.testing.assert_allclose(avatar.weights.sum(axis=1), 1, atol=1e-5)
    assert avatar.uv.min() >= 0
    assert avatar.uv.max() <= 1
    assert avatar.sheets
    assert 1.5 < np.ptp(avatar.vertices[:, 1]) < 2.0
    assert avatar.joints[16, 0] > 0 > avatar.joints[17, 0]  # the person's left is +x
    posed, _ = avatar.posed(np.tile(np.eye(3), (24, 1, 1)))
    np.testing.assert_allclose(posed, avatar.vertices, atol=1e-5)


@needs_assets
@pytest.mark.assets
def test_val_and_train_share_no_identity():
    splits = {"train": set(), "val": set()}
    for entry in avatar_list(ASSETS):
        splits[entry["split"]].add(entry["identity"])
    assert splits["val"]
    assert not splits["train"] & splits["val"]


def disc(size=128):
    y, x = np.mgrid[0:size, 0:size] - size / 2
    return (np.hypot(x, y) < size * 0.3).astype(np.float32)


def test_without_augmentation_the_image_is_the_render_on_white():
    mask = disc()
    picture = np.zeros((128, 128, 4), np.uint8)
    picture[..., 0], picture[..., 3] = 200, mask * 255
    image, found = photo_like(np.random.default_rng(0), picture, 128, None)
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_allclose(image[mask == 0], 1)
    np.testing.assert_allclose(
        image[mask == 1], np.broadcast_to([200 / 255, 0, 0], image[mask == 1].shape), atol=1e-6
    )


def test_augmented_images_stay_in_range_and_near_the_mask():
    mask = disc()
    picture = np.zeros((128, 128, 4), np.uint8)
    picture[..., 1], picture[..., 3] = 150, mask * 255
    rng = np.random.default_rng(3)
    changed = 0
    for _ in range(20):
        image, found = photo_like(rng, picture, 128, random_toning(rng))
        assert image.shape == (128, 128, 3)
        assert image.dtype == found.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1
        assert 0 <= found.min() <= found.max() <= 1
        overlap = np.minimum(found, mask).sum() / np.maximum(found, mask).sum()
        assert overlap > 0.85
        changed += overlap < 0.999
        np.testing.assert_allclose(image[found == 0], 1)
    assert changed > 5


def test_ragged_masks_move_the_rim_only():
    mask = disc()
    y, x = np.mgrid[0:128, 0:128] - 64
    radius = np.hypot(x, y)
    rng = np.random.default_rng(5)
    moved = [ragged_mask(rng, mask) for _ in range(30)]
    assert all(m[radius > 50].max() == 0 for m in moved)
    assert sum(m[radius < 20].min() == 1 for m in moved) > 20  # a bite is rare
    assert background(rng, 64).shape == (64, 64, 3)
