"""The same photo with another body: regenerate, preview and suggest, with the shipped weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from pamir_blender.body_state import BodyState
from pamir_blender.contracts import JOINT_NAMES
from pamir_blender.errors import Cancelled, RequestError, SurfaceError
from pamir_blender.paths import models_dir
from pamir_blender.pipeline import Backend, ReconstructOptions, RegenerateOptions, SuggestOptions, suggest
from pamir_blender.saved import read_saved

EXAMPLE = models_dir().parent / "examples" / "person.png"
QUICK = {"photo": str(EXAMPLE), "resolution": 128, "texture_size": 256, "faces": 10_000, "texture": False}


@pytest.fixture(scope="module")
def backend():
    return Backend("cpu")


@pytest.fixture(scope="module")
def first(backend, tmp_path_factory):
    out = tmp_path_factory.mktemp("first") / "result"
    return backend.reconstruct(ReconstructOptions(**QUICK, optimise=3), out)


@pytest.fixture(scope="module")
def saved(first):
    return read_saved(first)


def scene(folder):
    with np.load(folder / "scene.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def report(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def posed_vertices(arrays):
    """The clothed mesh of a result, skinned as its armature would, in the character's metres."""
    from pamir_blender.body.load import load_body_model
    from pamir_blender.body.posed import pose_body
    from pamir_blender.camera import Placement
    from pamir_blender.contracts import Body

    scale, *translation = arrays["body_placement"]
    model = load_body_model()
    body = Body(arrays["betas"], arrays["pose"], Placement(float(scale), tuple(translation)), model.name)
    transforms = pose_body(model, body).transforms[arrays["clothed_weights_indices"]]
    blended = np.einsum("vk,vkab->vab", arrays["clothed_weights"], transforms)
    rest = np.concatenate([arrays["clothed_vertices_rest"], np.ones((len(blended), 1))], axis=1)
    return np.einsum("vab,vb->va", blended, rest)[:, :3] + arrays["body_offset"]


def test_an_unchanged_body_gives_the_identical_mesh(backend, first, saved, tmp_path):
    again = backend.regenerate(RegenerateOptions(**QUICK, body=saved.body), tmp_path / "again")
    before, after = scene(first), scene(again)
    assert set(before) == set(after)
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)
    assert report(again)["hypothesis"] == {
        "kind": "regenerated", "edited": [], "flipped": [], "body_from": "given", "held": [],
    }  # fmt: skip


def test_a_new_backend_gives_the_identical_mesh_too(first, saved, tmp_path):
    backend = Backend("cpu")
    quick = RegenerateOptions(**QUICK | {"resolution": 96}, body=saved.body, preview=True)
    backend.regenerate(quick, tmp_path / "preview")  # what it read of the picture is used
    again = backend.regenerate(RegenerateOptions(**QUICK, body=saved.body), tmp_path / "again")
    np.testing.assert_array_equal(
        scene(first)["clothed_vertices_rest"], scene(again)["clothed_vertices_rest"]
    )


def test_the_surface_follows_the_forearm_and_the_rest_stays(backend, first, saved, tmp_path):
    """The property of the paper's figure 12."""
    from scipy.spatial import cKDTree

    turn = np.array(saved.body.pose[18]) + np.array([0.0, -0.9, 0.0])
    edited = saved.posed({"left_elbow": turn.tolist()})
    options = RegenerateOptions(**QUICK, body=edited.body, edited=edited.edited)
    arrays = scene(backend.regenerate(options, tmp_path / "turned"))
    before, after = posed_vertices(scene(first)), posed_vertices(arrays)
    forearm = np.isin(arrays["clothed_weights_indices"][:, 0], (18, 20, 22))
    moved, _ = cKDTree(before).query(after)
    assert np.median(moved[forearm]) > 0.02
    assert np.median(moved[~forearm]) < 0.01


def test_only_the_joints_that_were_not_edited_are_optimised(backend, saved, tmp_path):
    edited = saved.posed({"right_elbow": [0.0, 0.5, 0.0]})
    options = RegenerateOptions(**QUICK, body=edited.body, edited=edited.edited, optimise=3)
    folder = backend.regenerate(options, tmp_path / "rest")
    pose, found = scene(folder)["pose"], report(folder)
    np.testing.assert_array_equal(pose[19], np.float32(edited.body.pose[19]))
    assert found["optimisation"]["requested"] == 3
    if found["optimisation"]["kept"]:
        assert np.abs(pose - np.float32(edited.body.pose)).max() > 1e-4
    assert found["hypothesis"]["edited"] == ["right_elbow"]
    assert found["camera"]["frame_origin"] == list(saved.body.frame_origin)


def test_a_preview_is_the_surface_and_no_more(backend, saved, tmp_path):
    options = RegenerateOptions(**QUICK | {"resolution": 96}, body=saved.body, preview=True)
    folder = backend.regenerate(options, tmp_path / "preview")
    assert {path.name for path in folder.iterdir()} == {"scene.npz", "result.json"}
    arrays = scene(folder)
    assert arrays["clothed_colors"].shape == arrays["clothed_vertices_rest"].shape
    assert np.ptp(arrays["clothed_colors"].astype(int), axis=0).min() > 60


def test_suggestions_are_ranked_results_of_their_own(backend, saved, tmp_path):
    stages = []
    folder = backend.suggest(
        SuggestOptions(**QUICK, body=saved.body, count=1),
        tmp_path / "flips",
        on_progress=lambda *event: stages.append(event),
    )
    found = json.loads((folder / "suggestions.json").read_text(encoding="utf-8"))
    (best,) = found["suggestions"]
    assert {"result.json", "scene.npz", "thumbnail.png"} <= {
        p.name for p in (folder / best["folder"]).iterdir()
    }
    arrays = scene(folder / best["folder"])
    changed = np.abs(arrays["pose"] - np.float32(saved.body.pose)).max(axis=1) > 1e-3
    assert changed.any() and not changed[[0, 3, 6, 9, 12, 15]].any()
    assert report(folder / best["folder"])["hypothesis"]["flipped"] == best["flipped"]
    assert best["label"] and np.isfinite(found["energy_now"])
    fractions = [fraction for _, fraction, _ in stages]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)


def test_suggestions_keep_the_arm_that_was_posed_against_the_photo(backend, saved, tmp_path):
    turn = np.array(saved.body.pose[JOINT_NAMES.index("left_shoulder")]) + np.array([0.0, 0.0, 0.6])
    edited = saved.posed({"left_shoulder": turn.tolist()})
    options = SuggestOptions(**QUICK, body=edited.body, edited=edited.edited, count=1)
    folder = backend.suggest(options, tmp_path / "flips")
    (best,) = json.loads((folder / "suggestions.json").read_text(encoding="utf-8"))["suggestions"]
    told = report(folder / best["folder"])
    assert told["hypothesis"]["held"] == ["left_arm"]
    assert told["timings"]["hold"] >= 0
    arrays = scene(folder / best["folder"])
    hand = np.isin(arrays["clothed_weights_indices"][:, 0], [JOINT_NAMES.index("left_wrist")])
    assert hand.sum() > 50  # without holding it the arm ends at the elbow


def test_a_flip_without_a_surface_costs_the_others_nothing(backend, saved, tmp_path, monkeypatch):
    wanted = SuggestOptions(**QUICK, body=saved.body, count=2)
    real, broken = suggest.clothe, [True, False]

    def clothe(job, made, options, folder):
        (folder / "half.txt").write_text("half")
        if broken.pop(0):
            raise SurfaceError("nothing there")
        real(job, made, options, folder)

    monkeypatch.setattr(suggest, "LEAST_DEPTH", 0.02)  # so that there are several
    monkeypatch.setattr(suggest, "clothe", clothe)
    folder = backend.suggest(wanted, tmp_path / "flips")
    found = json.loads((folder / "suggestions.json").read_text(encoding="utf-8"))
    assert [entry["folder"] for entry in found["suggestions"]] == ["2"]
    assert [entry["reason"] for entry in found["failed"]] == ["nothing there"]
    assert sorted(path.name for path in folder.iterdir()) == ["2", "suggestions.json"]
    broken[:] = [True, True]
    with pytest.raises(SurfaceError, match="nothing there"):
        backend.suggest(wanted, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_body_that_the_photo_shows_is_found_once(saved, tmp_path):
    """Live preview asks again and again for poses of the same photo."""
    backend, asked = Backend("cpu"), []
    real = backend.estimators.landmarks.estimate

    def estimate(*arguments, **named):
        asked.append(1)
        return real(*arguments, **named)

    backend.estimators.landmarks.estimate = estimate
    turn = np.array(saved.body.pose[JOINT_NAMES.index("left_shoulder")])
    for name, raised in (("untouched", 0.0), ("first", 0.6), ("second", 0.7)):
        edited = saved.posed({"left_shoulder": (turn + np.array([0.0, 0.0, raised])).tolist()})
        options = RegenerateOptions(
            **QUICK | {"resolution": 96}, body=edited.body, edited=("left_shoulder",), preview=True
        )
        told = report(backend.regenerate(options, tmp_path / name))["hypothesis"]
        assert told["held"] == (["left_arm"] if raised else [])
        assert len(asked) == bool(raised)


def test_edited_limbs_are_not_flipped(backend, saved, tmp_path):
    limbs = ("left_shoulder", "right_wrist", "left_knee", "right_hip")
    folder = backend.suggest(SuggestOptions(**QUICK, body=saved.body, edited=limbs), tmp_path / "none")
    found = json.loads((folder / "suggestions.json").read_text(encoding="utf-8"))
    assert found["suggestions"] == [] and "No limb" in found["reason"]


@pytest.mark.parametrize("stage", ["photo", "features", "rank", "surface", "save"])
def test_a_cancelled_suggestion_leaves_nothing(backend, saved, tmp_path, stage):
    reached = []

    def on_progress(name, fraction, message):
        if name == stage:
            reached.append(name)

    with pytest.raises(Cancelled):
        backend.suggest(
            SuggestOptions(**QUICK, body=saved.body),
            tmp_path / "out",
            on_progress=on_progress,
            cancelled=lambda: bool(reached),
        )
    assert list(tmp_path.iterdir()) == []


def test_another_scale_than_the_characters_is_refused(backend, saved, tmp_path):
    body = BodyState(**{**vars(saved.body), "scale": saved.body.scale * 1.1})
    with pytest.raises(RequestError, match="scale"):
        backend.regenerate(RegenerateOptions(**QUICK, body=body), tmp_path / "out")


def test_thumbnails_are_small_and_cut_out(first):
    with Image.open(first / "thumbnail.png") as picture:
        assert picture.size == (256, 256) and picture.mode == "RGBA"
        alpha = np.asarray(picture)[..., 3]
    assert alpha.max() == 255 and (alpha == 0).mean() > 0.3


def test_a_limb_posed_against_the_photo_is_whole_and_not_twice_there(backend, saved, tmp_path):
    """An arm raised sideways, where the photo shows background."""
    joint, wrist = JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("left_wrist")
    pose = np.array(saved.body.pose, float)
    pose[joint] = (Rotation.from_rotvec([0, 0, 0.6]) * Rotation.from_rotvec(pose[joint])).as_rotvec()
    body = replace(saved.body, pose=tuple(map(tuple, pose)))
    options = RegenerateOptions(**QUICK, body=body, edited=("left_shoulder",))
    after = backend.regenerate(options, tmp_path / "raised")
    assert report(after)["hypothesis"]["held"] == ["left_arm"]
    untouched = backend.regenerate(RegenerateOptions(**QUICK, body=saved.body), tmp_path / "same")
    ends = [wrist_place(scene(folder), wrist) for folder in (untouched, after)]
    assert np.linalg.norm(ends[1] - ends[0]) > 0.2
    surface = posed_vertices(scene(after))
    near = [np.linalg.norm(surface - end, axis=1).min() for end in ends]
    was = np.linalg.norm(posed_vertices(scene(untouched)) - ends[0], axis=1).min()
    assert max(near[1], was) < 0.045  # metres: the wrist is around its bone
    joints = [JOINT_NAMES.index(f"left_{part}") for part in ("elbow", "wrist", "hand")]
    arm = np.isin(scene(after)["clothed_weights_indices"][:, 0], joints)
    assert np.linalg.norm(surface[arm] - ends[0], axis=1).min() > 0.1  # and has left where it was,
    assert near[0] > 0.04  # where nothing else stands; the hip is that near


def test_what_is_hidden_of_a_held_limb_is_asked_of_the_body_that_the_photo_shows(
    backend, saved, tmp_path, monkeypatch
):
    turn = np.array(saved.body.pose[JOINT_NAMES.index("left_shoulder")]) + np.array([0.0, 0.0, 0.6])
    edited = saved.posed({"left_shoulder": turn.tolist()})
    encoded, asked = [], []
    networks = backend.networks("lite")
    real, colour = networks.encode, networks.colour

    def encode(photo, posed, **options):
        encoded.append(posed)
        return real(photo, posed, **options)

    def spied(features):
        query = colour(features)
        return lambda points: (asked.append((features, len(points))), query(points))[1]

    monkeypatch.setattr(networks, "encode", encode)
    monkeypatch.setattr(networks, "colour", spied)
    backend.forget_photos()
    options = RegenerateOptions(**QUICK | {"texture": True}, body=edited.body, edited=edited.edited)
    backend.regenerate(options, tmp_path / "raised")
    posed, shown = encoded
    wrist = JOINT_NAMES.index("left_wrist")
    apart = np.linalg.norm((posed.transforms - shown.transforms)[wrist, :3, 3])
    assert apart > 0.05  # the arm is where the photo shows it
    by_field = {id(features): 0 for features, _ in asked}
    for features, count in asked:
        by_field[id(features)] += count
    assert len(by_field) == 2
    assert 100 < min(by_field.values()) < 0.3 * max(by_field.values())  # an arm, of a person
    backend.regenerate(replace(options, preview=True), tmp_path / "preview")
    assert len(encoded) == 3  # the shown body is not encoded again


def wrist_place(arrays, joint):
    """The mean of a posed body's skin that a joint moves, in the character's metres."""
    from pamir_blender.body.load import load_body_model
    from pamir_blender.body.posed import pose_body
    from pamir_blender.camera import Placement
    from pamir_blender.contracts import Body

    scale, *translation = arrays["body_placement"]
    model = load_body_model()
    body = Body(arrays["betas"], arrays["pose"], Placement(float(scale), tuple(translation)), model.name)
    shape = pose_body(model, body)
    metres = (shape.vertices - translation) / scale + arrays["body_offset"]
    return metres[shape.skinning_weights[:, joint] > 0.6].mean(axis=0)
