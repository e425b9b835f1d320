"""The whole command on a synthetic subject: the shipped network and an untrained one at a low resolution."""

import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("igl", reason="libigl is not installed (extra 'train')")
pytest.importorskip("trimesh", reason="trimesh is not installed (extra 'train')")
sys.path.insert(0, str(Path(__file__).parents[2] / "pamir"))

import tiny_networks
from glb_writer import square

from pamir_blender import cli
from pamir_blender.body.posed import pose_body
from pamir_blender.camera import Placement
from pamir_blender.contracts import Body
from pamir_blender.errors import NoPersonError, PersonCroppedError
from pamir_blender.pamir.geometry import GeometryNetwork
from pamir_blender.pamir.networks import FieldOfPhoto
from pamir_blender.pamir.weights import save_weights
from pamir_blender.training.evaluation import command, data_set, measuring, noise, optimised, subjects
from pamir_blender.training.evaluation.data_set import DataViews, given_photo
from pamir_blender.training.storage import read_arrays, write_arrays


class NobodyFound:
    """A front end that refuses every picture."""

    def __init__(self, model):
        pass

    def find(self, picture):
        raise NoPersonError(f"Nobody was found in {picture.name}.")


@pytest.fixture(scope="module")
def no_front_end():
    """Nobody is found in any picture, and noise has two levels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_set, "PhotoBodies", NobodyFound)
        patch.setattr(noise, "LEVELS", {"pose": (0.0, 12.0), "shape": (0.0, 1.5), "depth": (0.0, 4.0)})
        yield


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Weights whose card says that no body conditions them."""
    config = tiny_networks.geometry_config()
    config = replace(config, volume=replace(config.volume, channels=1))
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_weights(
        path, tiny_networks.randomise(GeometryNetwork(config)), {"variant": "pifu", "command": ["train"]}
    )
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The words that choose a small untrained network which reads bodies; it makes lumps, but quickly."""
    path = tmp_path_factory.mktemp("tiny") / "weights.safetensors"
    save_weights(path, tiny_networks.geometry(1), {"command": ["train"]})
    return ["--weights", f"tiny={path}"]


WORDS = ["--resolution", "64", "--samples", "500", "--noise-views", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def evaluated(data_folder, untrained, tmp_path_factory, no_front_end):
    out = tmp_path_factory.mktemp("evaluated") / "out"
    words = ["--data", str(data_folder), "--out", str(out), "--weights", "shipped", "--no-optimise", *WORDS]
    assert cli.main(["evaluate", *words, "--weights", f"base={untrained.parent}"]) == 0
    return out, json.loads((out / "evaluation.json").read_text())


def test_one_command_measures_every_condition(evaluated):
    _out, report = evaluated
    lines = {(e["weights"], e["body"]): e for e in report["summary"]}
    assert list(lines) == [
        (None, "true"), (None, "estimated"), (None, "photo"),
        ("shipped", "true"), ("shipped", "estimated"), ("shipped", "photo"),
        ("base", "true"), ("base", "photo"),
    ]  # fmt: skip
    assert lines["shipped", "true"]["views"] == 2
    # The subject is the body with 12 mm of cloth on trunk and limbs.
    assert 0.3 < lines[None, "true"]["point_to_surface"] < 1.3
    assert lines[None, "true"]["mpjpe"] == pytest.approx(0.0, abs=0.02)
    assert lines["shipped", "true"]["point_to_surface"] < lines["shipped", "estimated"]["point_to_surface"]
    assert lines["shipped", "true"]["silhouette_iou"] > 0.85
    assert 0.3 < lines[None, "estimated"]["mpjpe"] < 15
    assert (lines[None, "photo"]["views"], lines[None, "photo"]["failed"]) == (0, 2)
    refused = [row["reason"] for row in report["rows"] if row["body"] == "photo"]
    assert all(reason.startswith("Nobody was found") for reason in refused)


def test_the_report_says_how_it_came_about(evaluated):
    out, report = evaluated
    assert report["command"][:4] == ["python", "-m", "pamir_blender", "evaluate"]
    assert report["versions"]["pamir_blender"]
    assert [len(weights["sha256"]) for weights in report["weights"]] == [64, 64]
    assert report["settings"] == {"resolution": 64, "samples": 500, "seed": 0}
    assert report["test_set"]["views"] == 2
    assert len(report["rows"]) == 16
    assert report["rows"][0]["tags"]["identity"] == "nobody"
    text = (out / "tables.md").read_text()
    assert "0.71 / 0.94" in text
    assert "not measured here" in text
    assert {path.name for path in out.iterdir()} == {
        "tables.md", "evaluation.json", "spread.png", "noise.png", "sheets", "cache",
    }  # fmt: skip
    sheets = {path.name for path in (out / "sheets").iterdir()}
    assert {"shipped__true.png", "shipped__estimated.png"} <= sheets


def test_noise_makes_bodies_worse(evaluated):
    means = {(e["weights"], e["kind"], e["level"]): e for e in evaluated[1]["noise"]}
    assert {weights for weights, _, _ in means} == {None, "shipped"}  # the other one reads no body
    for kind, level in (("pose", 12.0), ("shape", 1.5), ("depth", 4.0)):
        assert means[None, kind, level]["mpjpe"] > 1.0 + means[None, kind, 0.0]["mpjpe"] or kind == "shape"
        assert (
            means["shipped", kind, level]["point_to_surface"]
            > means["shipped", kind, 0.0]["point_to_surface"]
        )
    assert means[None, "depth", 4.0]["mpjpe"] == pytest.approx(4.0, abs=0.05)


def test_an_interrupted_run_goes_on(data_folder, tiny, tmp_path, no_front_end, monkeypatch):
    words = ["--data", str(data_folder), "--out", str(tmp_path / "out"), "--no-noise", "--bodies", "true"]
    words += [*tiny, *WORDS]
    made, scores_of = [], measuring.scores_of

    def counted(case, *rest, **options):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(case.name)
        return scores_of(case, *rest, **options)

    monkeypatch.setattr(measuring, "scores_of", counted)
    assert cli.main(["evaluate", *words]) == cli.STOPPED
    assert len(made) == 3  # both conditions of one view, and one of the next, which was not kept
    monkeypatch.setattr(measuring, "scores_of", lambda *a, **o: made.append("again") or scores_of(*a, **o))
    assert command.main(words) == 0
    first = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert made.count("again") == 2
    assert command.main(words) == 0  # nothing is left to measure
    assert made.count("again") == 2
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == first
    assert command.main([*words, "--seed", "1"]) == 0  # other points are other rows
    assert made.count("again") == 6


def test_damaged_cache_files_are_measured_again(data_folder, tiny, tmp_path, no_front_end):
    out = tmp_path / "out"
    words = ["--data", str(data_folder), "--out", str(out), "--no-noise", "--bodies", "true", "--limit", "1"]
    words += [*tiny, *WORDS]
    assert command.main(words) == 0
    first = json.loads((out / "evaluation.json").read_text())["summary"]
    for path in (out / "cache").glob("*.json"):
        path.write_text("{")
    assert command.main(words) == 0
    assert json.loads((out / "evaluation.json").read_text())["summary"] == first


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--limit", "-1"], "--limit"),
        (["--height", "99"], "--height"),
        (["--yaws", "nan"], "--yaws"),
        (["--bodies", "best"], "'best'"),
        (["--weights", "x=nowhere"], "no geometry weights"),
        (["--weights", "nowhere"], "NAME=DIR"),
    ],
)
def test_unusable_options_are_refused_in_one_line(data_folder, tmp_path, capsys, words, reason):
    assert cli.main(["evaluate", "--data", str(data_folder), "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_the_field_as_published_can_be_measured_too(data_folder, tmp_path, no_front_end):
    words = ["--data", str(data_folder), "--out", str(tmp_path / "out"), "--no-noise", "--bodies", "true"]
    words += ["--limit", "1", *WORDS]
    scores = []
    for more in ([], ["--plain"]):
        assert command.main([*words, *more]) == 0
        summary = json.loads((tmp_path / "out" / "evaluation.json").read_text())["summary"]
        scores.append([row["chamfer"] for row in summary])
    helped, plain = scores
    assert helped[0] == plain[0]  # the body alone
    assert helped[1] != plain[1]
    assert helped[1] == pytest.approx(plain[1], rel=0.5)


def test_a_network_under_another_name_is_known_by_it(data_folder, tiny, tmp_path, no_front_end):
    """What is kept of a row does not say what the network was called."""
    _, place = tiny[1].split("=")
    out = tmp_path / "out"
    words = ["--data", str(data_folder), "--out", str(out), "--no-noise", "--bodies", "true", *WORDS]
    for names in (["first"], ["second", "third"]):
        weights = [word for name in names for word in ("--weights", f"{name}={place}")]
        assert command.main([*words, *weights]) == 0
        summary = json.loads((out / "evaluation.json").read_text())["summary"]
        assert [row["weights"] for row in summary] == [None, *names]
        assert all(row["views"] for row in summary)


def test_the_noise_of_the_field_as_published_is_its_own(data_folder, tmp_path, no_front_end):
    words = ["--data", str(data_folder), "--out", str(tmp_path / "out"), "--bodies", "true"]
    words += ["--limit", "1", "--noise-views", "1", *WORDS]
    scores = []
    for more in ([], ["--plain"]):
        assert command.main([*words, *more]) == 0
        noise = json.loads((tmp_path / "out" / "evaluation.json").read_text())["noise"]
        scores.append([row["chamfer"] for row in noise if row["weights"]])
    assert scores[0] != scores[1]


def test_other_folders_are_left_alone(data_folder, tmp_path, capsys):
    (tmp_path / "mine.txt").touch()
    assert cli.main(["evaluate", "--data", str(data_folder), "--out", str(tmp_path)]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert cli.main(["evaluate", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "make_data" in capsys.readouterr().err


def test_stored_parameters_pose_the_stored_bodies(data_folder):
    views = DataViews(data_folder)
    for name in views.names():
        for which in range(3):
            shape = views.body(name, which)
            posed = pose_body(views.model, shape.parameters)
            np.testing.assert_allclose(posed.vertices, shape.vertices, atol=1e-4)  # box units, 0.2 mm


def test_older_data_sets_are_measured_but_not_disturbed(data_folder, tiny, tmp_path, capsys, no_front_end):
    old = tmp_path / "old"
    shutil.copytree(data_folder, old)
    for path in (old / "views").glob("*.npz"):
        stored = read_arrays(path)
        del stored["parameters"]
        write_arrays(path, stored)
    words = ["--data", str(old), "--out", str(tmp_path / "out"), "--bodies", "true", *tiny, *WORDS]
    assert cli.main(["evaluate", *words, "--no-noise"]) == 0
    assert cli.main(["evaluate", *words]) == 2
    assert "Make the data set again" in capsys.readouterr().err
    shutil.rmtree(old / "meshes")
    assert cli.main(["evaluate", *words, "--no-noise"]) == 2
    assert "--meshes" in capsys.readouterr().err


@dataclass
class Optimised:
    """What body reference optimisation returns."""

    body: Body
    kept: bool
    reason: str


def test_bodies_that_are_not_true_are_measured_optimised_as_well(
    data_folder, tiny, tmp_path, no_front_end, monkeypatch
):
    """An optimiser that knows the truth: its body is the true one, and so are the scores."""
    views, asked = DataViews(data_folder), []

    def optimise_body(networks, features, model, body, *, photo=None, held=(), iterations=50):
        asked.append((networks, photo))
        assert isinstance(features, FieldOfPhoto)
        name = next(n for n in views.names() if views.open(n, "estimated").body.known_parameters() == body)
        return Optimised(views.body(name, 0).known_parameters(), True, "It fell.")

    monkeypatch.setattr(optimised, "optimise_body", optimise_body)
    monkeypatch.setattr(Body, "__eq__", lambda a, b: np.array_equal(a.pose, b.pose))
    out = tmp_path / "out"
    words = ["--data", str(data_folder), "--out", str(out), "--bodies", "true", "estimated", "--no-noise"]
    # Plain: whether a hole of an untrained network's lumps is mended hangs on the last digit of a vertex.
    assert command.main([*words, "--plain", *tiny, *WORDS]) == 0
    report = json.loads((out / "evaluation.json").read_text())
    lines = {(e["weights"], e["body"], e["optimised"]): e for e in report["summary"]}
    assert set(lines) == {
        (None, "true", False), (None, "estimated", False),
        ("tiny", "true", False), ("tiny", "estimated", False), ("tiny", "estimated", True),
    }  # fmt: skip
    true, found = lines["tiny", "true", False], lines["tiny", "estimated", True]
    assert found["point_to_surface"] == pytest.approx(true["point_to_surface"], rel=2e-3)
    assert found["mpjpe"] == pytest.approx(0.0, abs=0.02)
    # The pictures of a data set are given with their mask, and plain landmarks.
    for _, photo in asked:
        assert photo.crop_mask.max() > 0.5 and not photo.landmarks.visibility.any()
    told = [row["optimisation"] for row in report["rows"] if row["optimised"]]
    assert told == [{"kept": True, "reason": "It fell."}] * 2
    assert "## Body reference optimisation" in (out / "tables.md").read_text()
    assert (out / "sheets" / "tiny__estimated_optimised.png").is_file()


def test_disturbed_bodies_keep_their_pelvis(body_model):
    placement = Placement(0.5, (0.0, 0.1, 0.0))
    body = Body(np.zeros(10, np.float32), np.zeros((24, 3), np.float32), placement, "open")

    def joints(kind, level, seed=0):
        changed = noise.disturbed(body, body_model, kind, level, seed)
        posed = pose_body(body_model, changed)
        pelvis = changed.placement.body_to_box(body_model.rest_joints(torch_row(changed.betas))[0, 0].numpy())
        return changed, posed.vertices, pelvis

    def torch_row(values):
        import torch

        return torch.as_tensor(values)[None]

    still = joints("pose", 0.0)
    for kind, level in (("pose", 10.0), ("shape", 1.0)):
        np.testing.assert_allclose(joints(kind, level)[2], still[2], atol=1e-6)
        assert np.abs(joints(kind, level)[1] - still[1]).max() > 0.01
        np.testing.assert_array_equal(joints(kind, level)[1], joints(kind, level)[1])
    moved = joints("depth", 3.0)[1] - still[1]
    np.testing.assert_allclose(np.abs(moved), np.broadcast_to([0, 0, 0.015], moved.shape), atol=1e-6)
    angles = [np.linalg.norm(joints("pose", 10.0, seed)[0].pose[1:], axis=1).mean() for seed in range(60)]
    assert np.degrees(np.mean(angles)) == pytest.approx(10.0, rel=0.06)


class BodyInTheMiddle:
    """A front end that takes any picture as it is, finds one body in all, and turns away from some."""

    refused = "@45"

    def __init__(self, model):
        self.model = model

    def find(self, picture):
        import cv2

        image = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
        assert image.shape == (512, 512, 4)
        alpha = image[..., 3].astype(np.float32) / 255
        if alpha.any(axis=0).sum() < 300:
            raise PersonCroppedError("The person is cut off.")
        white = image[..., 2::-1] * alpha[..., None] + 255 * (1 - alpha[..., None])
        body = Body(
            np.zeros(10, np.float32),
            np.zeros((24, 3), np.float32),
            Placement(0.48, (0.0, 0.1, 0.05)),
            "open",
        )
        return given_photo(picture.name, white.astype(np.uint8), alpha), pose_body(self.model, body)


def test_any_folder_of_meshes_is_a_test_set(subject, tmp_path, monkeypatch, capsys):
    """The T-posed body as a PLY in centimetres: in the box it is where the front end says a T-pose is."""
    import trimesh

    from pamir_blender.training.rendering import Renderer

    try:
        with Renderer():
            pass
    except Exception as error:  # no EGL driver on this machine
        pytest.skip(f"no off-screen OpenGL here: {error}")
    monkeypatch.setattr(subjects, "PhotoBodies", BodyInTheMiddle)
    folder, out = tmp_path / "people", tmp_path / "out"
    folder.mkdir()
    trimesh.Trimesh(subject.vertices * 100, subject.faces, process=False).export(folder / "person.ply")
    (folder / "broken.glb").write_bytes(b"glTF")
    (folder / "flat.glb").write_bytes(square(change=lambda d: d["nodes"][0].update(scale=[1, 0, 1])))
    words = ["--subjects", str(folder), "--out", str(out), "--yaws", "0", "90", "--no-optimise", *WORDS]
    assert cli.main(["evaluate", *words]) == 0
    report = json.loads((out / "evaluation.json").read_text())
    assert set(report["test_set"]["refused"]) == {"broken.glb", "flat.glb"}
    assert report["test_set"]["subjects"] == 1
    rows = {(row["view"], row["weights"]): row for row in report["rows"]}
    assert set(rows) == {(f"person.ply@{yaw}", name) for yaw in (0, 90) for name in (None, "shipped")}
    front = rows["person.ply@0", None]
    assert front["scores"]["point_to_surface"] < 4.0
    assert front["scores"]["mpjpe"] is None  # a PLY knows no joints
    assert abs(front["scores"]["depth_shift"]) > 3.0  # the front end put it 10 cm before the truth
    assert rows["person.ply@90", None]["reason"] == "The person is cut off."
    assert "left out" in capsys.readouterr().err
    (folder / "person.ply").unlink()
    assert cli.main(["evaluate", *words]) == 2
    assert "No mesh" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tall", "metres"), [(1.7, 1.7), (170, 1.7), (1700, 1.7), (17.0, 1.7), (70, 1.778), (0.004, 1.75)]
)
def test_the_unit_is_the_one_that_makes_a_person(tall, metres):
    assert tall * subjects.metres_per_unit(tall) == pytest.approx(metres)
