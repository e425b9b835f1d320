"""Masks: the refinement on simple pictures, and the artist's own files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pamir_blender.errors import PhotoError
from pamir_blender.photo.mask import artist_mask, grab_cut, keep_person, soften


def blob(size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A textured disc on a textured ground, and its true mask."""
    rng = np.random.default_rng(1)
    v, u = np.mgrid[0:size, 0:size]
    truth = np.hypot(u - size / 2, v - size / 2) < size * 0.3
    image = np.where(truth[..., None], [170, 90, 60], [90, 120, 150]) + rng.normal(0, 8, (size, size, 3))
    return image.clip(0, 255).astype(np.uint8), truth


def test_grab_cut_finds_the_edge_between_the_seeds():
    image, truth = blob()
    v, u = np.mgrid[0:160, 0:160]
    vague = 1 / (1 + np.exp((np.hypot(u - 86, v - 80) - 46) / 3))  # shifted by 6 pixels, 2 too small
    refined = grab_cut(image, vague.astype(np.float32))
    iou = (refined & truth).sum() / (refined | truth).sum()
    before = ((vague > 0.5) & truth).sum() / ((vague > 0.5) | truth).sum()
    assert before < 0.85
    assert iou > 0.97
    np.testing.assert_array_equal(refined, grab_cut(image, vague.astype(np.float32)))  # deterministic


def test_grab_cut_without_seeds_takes_the_probability():
    image, _ = blob()
    probability = np.full((160, 160), 0.3, np.float32)
    probability[40:80, 40:80] = 0.7
    np.testing.assert_array_equal(grab_cut(image, probability), probability > 0.5)


def test_islands_without_a_sure_part_go_and_pinholes_close():
    hard = np.zeros((100, 100), bool)
    hard[20:80, 30:60] = True
    hard[40:42, 40:42] = False  # a pinhole
    hard[50:70, 40:50] = False  # the gap between arm and body
    hard[20:80, 80:90] = True  # somebody's leg
    probability = np.where(hard, 0.99, 0.0)
    probability[:, 80:90] = 0.6
    kept = keep_person(hard, probability)
    assert kept[40:42, 40:42].all()
    assert not kept[50:70, 40:50].any()
    assert not kept[:, 80:90].any()
    assert kept[20:80, 30:40].all()


def test_soft_edge_keeps_the_outline():
    image, truth = blob()
    soft = soften(truth, image)
    assert soft.dtype == np.float32
    assert soft.min() == 0
    assert soft.max() == 1
    partial = (soft > 0.02) & (soft < 0.98)
    assert 100 < partial.sum() < 3000
    np.testing.assert_array_equal(soft > 0.5, truth)


def save(path, values, mode="L"):
    Image.fromarray(values).convert(mode).save(path)
    return path


def test_mask_files_are_read_resized_and_their_alpha_wins(tmp_path):
    values = np.zeros((120, 90), np.uint8)
    values[30:90, 20:70] = 255
    mask, digest = artist_mask(save(tmp_path / "mask.png", values), (180, 240))
    assert mask.shape == (240, 180)
    assert mask.dtype == np.float32
    assert mask.sum() == pytest.approx(4 * 60 * 50, rel=0.02)
    assert len(digest) == 64
    Image.fromarray(np.dstack([np.full((120, 90, 3), 7, np.uint8), values])).save(tmp_path / "alpha.png")
    again, _ = artist_mask(tmp_path / "alpha.png", (180, 240))
    np.testing.assert_allclose(again, mask, atol=1e-6)
    smaller, _ = artist_mask(tmp_path / "mask.png", (45, 60))
    assert smaller.sum() == pytest.approx(60 * 50 / 4, rel=0.02)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((120, 90), np.uint8), "empty"),
        (np.full((120, 90), 255, np.uint8), "whole photo"),
        (np.eye(120, dtype=np.uint8) * 255, "120 x 120"),
    ],
)
def test_useless_masks_are_refused(tmp_path, values, words):
    path = save(tmp_path / "mask.png", values)
    with pytest.raises(PhotoError, match=words) as caught:
        artist_mask(path, (90, 120))
    assert str(path) in str(caught.value)


def test_an_unreadable_mask_is_called_a_mask(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"nothing")
    with pytest.raises(PhotoError, match="The mask"):
        artist_mask(tmp_path / "mask.png", (90, 120))
