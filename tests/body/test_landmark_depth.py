"""The detector's depths put right: what the network reads, says and refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from pamir_blender.body.landmark_depth import (
    DEPTH_FILE,
    DEPTH_FORMAT,
    FEATURES,
    LARGEST,
    LandmarkDepth,
    describe,
    load_landmark_depth,
    mirrored,
)
from pamir_blender.body.landmarks import LANDMARK_NAMES, load_landmark_model
from pamir_blender.body.load import load_body_model
from pamir_blender.camera import box_to_crop
from pamir_blender.contracts import LANDMARK_MIRROR, Landmarks
from pamir_blender.errors import BodyModelError


def seen(seed: int = 0, scale: float = 0.4, shift: tuple[float, float] = (0.1, -0.05)) -> Landmarks:
    """A person of random metres, shown at ``scale`` box units per metre."""
    rng = np.random.default_rng(seed)
    world = rng.normal(0, 0.4, (33, 3))
    world -= world[23:25].mean(axis=0)
    flat = box_to_crop(world[:, :2] * scale + shift)
    visibility, spread = rng.random(33), rng.random(33) * 0.1
    values = (flat, world[:, 2] * scale, world, visibility, visibility, spread)
    return Landmarks(*(value.astype(np.float32) for value in values))


def in_a_mirror(landmarks: Landmarks) -> Landmarks:
    image = landmarks.image[LANDMARK_MIRROR].copy()
    image[:, 0] = 512 - image[:, 0]
    others = (landmarks.visibility, landmarks.presence, landmarks.spread)
    return Landmarks(
        image, landmarks.depth[LANDMARK_MIRROR], landmarks.world[LANDMARK_MIRROR] * np.float32([-1, 1, 1]),
        *(values[LANDMARK_MIRROR] for values in others),
    )  # fmt: skip


def random_network(size: float = 1.0) -> LandmarkDepth:
    rng = np.random.default_rng(3)
    layers = [(rng.normal(0, 0.1, (b, a)), rng.normal(0, 0.1, b)) for a, b in ((FEATURES, 20), (20, 33))]
    layers[-1] = (layers[-1][0] * size, layers[-1][1] * size)
    return LandmarkDepth(np.zeros(FEATURES), np.ones(FEATURES), tuple(layers))


def test_the_mirror_swaps_sides():
    assert [LANDMARK_NAMES[LANDMARK_MIRROR[k]] for k in (0, 2, 7, 9, 11, 16, 31)] == [
        "nose", "right_eye", "right_ear", "mouth_right", "right_shoulder", "left_wrist", "right_foot_index",
    ]  # fmt: skip
    np.testing.assert_array_equal(LANDMARK_MIRROR[LANDMARK_MIRROR], np.arange(33))


def test_size_and_place_in_the_picture_do_not_matter():
    small, large = (
        describe(person, person.world.astype(np.float64))
        for person in (seen(scale=0.2, shift=(0.0, 0.0)), seen(scale=0.45, shift=(-0.1, 0.1)))
    )
    assert small.shape == (FEATURES,)
    np.testing.assert_allclose(small, large, atol=1e-4)
    np.testing.assert_allclose(small[:66].reshape(33, 2), seen().world[:, :2], atol=1e-4)


def test_an_unknown_spread_and_a_flat_person_are_read():
    person = replace(seen(), spread=None, world=np.zeros((33, 3), np.float32))
    assert np.isfinite(describe(person, person.world.astype(np.float64))).all()


def test_features_of_the_mirrored_person_are_the_mirrored_features():
    person, twin = seen(), in_a_mirror(seen())
    features = describe(person, person.world.astype(np.float64))
    np.testing.assert_allclose(describe(twin, twin.world.astype(np.float64)), mirrored(features), atol=1e-4)


def test_the_person_in_a_mirror_has_the_same_depths():
    network, person, twin = random_network(0.1), seen(), in_a_mirror(seen())
    moved = network(person, person.world.astype(np.float64))
    again = network(twin, twin.world.astype(np.float64))
    assert moved.std() > 0.005
    np.testing.assert_allclose(again, moved[LANDMARK_MIRROR], atol=1e-4)


def test_the_hips_stay_and_nothing_goes_far():
    person = seen()
    moved = random_network(0.1)(person, person.world.astype(np.float64))
    assert abs(moved[23:25].mean()) < 1e-9
    far = random_network(100.0)(person, person.world.astype(np.float64))
    assert LARGEST < np.abs(far).max() <= 2 * LARGEST
    assert abs(far[23:25].mean()) < 1e-9


def test_nobodys_landmarks_stay():
    nobody = replace(seen(), visibility=np.zeros(33, np.float32))
    assert not random_network()(nobody, nobody.world.astype(np.float64)).any()


def test_landmarks_unlike_all_that_were_learned_do_not_run_away():
    person, world = seen(), seen().world.astype(np.float64)
    network = random_network(0.01)
    wild = replace(person, image=person.image + 1e5 * np.arange(33, dtype=np.float32)[:, None])
    wilder = replace(person, image=person.image + 1e7 * np.arange(33, dtype=np.float32)[:, None])
    np.testing.assert_allclose(network(wild, world), network(wilder, world))


def test_the_shipped_network_corrects_the_landmarks_of_a_fit():
    model = load_landmark_model(load_body_model())
    plain = replace(model, depth=None)
    person = seen()
    before, after = plain.metres(person), model.metres(person)
    np.testing.assert_array_equal(before, model.upright(person.world))
    np.testing.assert_array_equal(after[:, :2], before[:, :2])
    np.testing.assert_allclose(after[:, 2] - before[:, 2], model.depth(person, before))
    assert np.abs(after - before).max() > 0.01


def test_the_shipped_file_says_what_it_was_trained_on():
    with safe_open(str(DEPTH_FILE), framework="numpy") as file:
        card = json.loads(file.metadata()["card"])
    assert card["pictures"] > 1000
    before, after = card["depth_cm"]["val"]
    assert after < 0.75 * before


def damaged(tmp_path: Path, change) -> Path:
    values = load_file(DEPTH_FILE)
    header = change(values) or DEPTH_FORMAT
    path = tmp_path / "depth.safetensors"
    save_file(values, str(path), {"format": header})
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("mean") is None or None,
        lambda values: values.update(mean=np.zeros(5, np.float16)),
        lambda values: values.update(bias0=np.full_like(values["bias0"], np.nan)),
        lambda values: values.update(scale=np.zeros_like(values["scale"])),
        lambda values: values.update(weight1=values["weight1"][:, 1:].copy()),
        lambda values: values.update(weight9=np.zeros((1500, 1500), np.float16)),
        lambda values: values.update(bias0=np.zeros((), np.float16)),
        lambda values: values.update(more=np.zeros(3, np.float16)),
        lambda values: "another format",
    ],
    ids=["missing", "short", "nan", "zero scale", "widths", "huge", "no width", "more", "format"],
)
def test_a_damaged_file_is_named(tmp_path, change):
    with pytest.raises(BodyModelError, match=r"depth\.safetensors is missing or damaged"):
        load_landmark_depth(damaged(tmp_path, change))


def test_a_number_format_that_numpy_lacks_is_named(tmp_path):
    import torch
    from safetensors.torch import save_file as save_tensors

    values = {name: torch.from_numpy(value) for name, value in load_file(DEPTH_FILE).items()}
    values["mean"] = values["mean"].bfloat16()
    save_tensors(values, str(tmp_path / "depth.safetensors"), {"format": DEPTH_FORMAT})
    with pytest.raises(BodyModelError, match="missing or damaged"):
        load_landmark_depth(tmp_path / "depth.safetensors")


def test_a_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "depth.safetensors"
    with pytest.raises(BodyModelError, match="missing or damaged"):
        load_landmark_depth(path)
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(BodyModelError, match="missing or damaged"):
        load_landmark_depth(path)
