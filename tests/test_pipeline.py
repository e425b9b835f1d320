"""The whole job on the example picture with the shipped weights, at a low resolution."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pamir_blender.body.graph_network import GraphCmr, GraphCmrConfig
from pamir_blender.errors import Cancelled, NoPersonError, RequestError, WeightsError
from pamir_blender.pamir.weights import save_weights
from pamir_blender.paths import models_dir
from pamir_blender.pipeline import STAGES, Backend, ReconstructOptions

EXAMPLE = models_dir().parent / "examples" / "person.png"
QUICK = {"resolution": 128, "texture_size": 512, "faces": 10_000, "optimise": 4}


@pytest.fixture(scope="module")
def backend():
    return Backend("cpu")


@pytest.fixture(scope="module")
def job(backend, tmp_path_factory):
    """One finished reconstruction: (folder, progress events, whether the body came before the surface)."""
    out = tmp_path_factory.mktemp("job") / "mön résultat"
    events, bodies, early = [], [], []

    def on_body(folder):
        with np.load(folder / "scene.npz", allow_pickle=False) as scene:
            bodies.append((len(events), sorted(scene)))
        early.append(folder)

    options = ReconstructOptions(photo=str(EXAMPLE), **QUICK)
    folder = backend.reconstruct(
        options, out, on_progress=lambda *event: events.append(event), on_body=on_body
    )
    assert early and not any(place.exists() for place in early)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    return folder, events, bodies


def _report(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_writes_every_file_and_nothing_else(job):
    names = {path.name for path in job[0].iterdir()}
    assert names == {
        "result.json", "scene.npz", "texture.png", "clothed.glb", "clothed.ply", "body.obj", "preview.png",
        "thumbnail.png",
    }  # fmt: skip


def test_the_silhouette_fits_the_mask(job):
    report = _report(job[0])
    assert report["silhouette_iou"] > 0.96
    # Before its outline was moved onto the mask's the surface fitted less well, but it fitted.
    assert 0.85 < report["surface"]["outline_iou"] < report["silhouette_iou"] + 0.01


def test_the_surface_is_a_whole_person(job):
    folder = job[0]
    with np.load(folder / "scene.npz", allow_pickle=False) as scene:
        rest, faces = scene["clothed_vertices_rest"], scene["clothed_faces"]
        np.testing.assert_allclose(scene["clothed_weights"].sum(1), 1, atol=1e-6)
        height = np.ptp(scene["body_template"][:, 1])
    assert len(faces) > 4_000
    # As tall as its body in the T-pose, give or take hair and shoes, and closed: every edge has two faces.
    assert 0.9 < np.ptp(rest[:, 1]) / height < 1.25
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_the_front_has_the_photos_colours(job):
    preview = np.asarray(Image.open(job[0] / "preview.png").convert("RGB"), float)
    side = preview.shape[0]
    crop, front = preview[:, :side], preview[:, side : 2 * side]
    person = (crop < 245).any(2) & (front < 245).any(2)
    middle = np.zeros_like(person)
    middle[side // 4 : side * 3 // 4, side * 3 // 8 : side * 5 // 8] = True
    assert np.abs(crop - front)[person & middle].mean() < 30


def test_progress_rises_through_every_stage(job):
    _, events, bodies = job
    fractions = [fraction for _, fraction, _ in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert list(dict.fromkeys(stage for stage, _, _ in events)) == list(STAGES)
    # The first estimate, and the improved body if it was kept.
    shown = [events[at - 1][0] for at, _ in bodies]
    assert shown == ["body", "optimise"][: 1 + _report(job[0])["optimisation"]["kept"]]
    assert all("body_template" in keys and "clothed_faces" not in keys for _, keys in bodies)


def test_provenance(job):
    report = _report(job[0])
    assert set(report["timings"]) == set(STAGES)
    assert report["options"]["resolution"] == QUICK["resolution"]
    assert all(len(digest) == 64 for digest in report["weights"].values())
    assert set(report["body"]["confidence"]) == {
        "torso", "head", "left_arm", "right_arm", "left_leg", "right_leg",
    }  # fmt: skip


def test_same_seed_same_mesh(backend, job, tmp_path):
    again = backend.reconstruct(ReconstructOptions(photo=str(EXAMPLE), **QUICK), tmp_path / "again")
    with np.load(job[0] / "scene.npz") as first, np.load(again / "scene.npz") as second:
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def _t_pose_weights(folder):
    """The shipped weights, and a GraphCMR that sees everybody in the T-pose in the middle of the crop."""
    for kind in ("geometry", "texture"):
        name = f"lite_{kind}.safetensors"
        (folder / name).symlink_to(models_dir() / name)
    torch.manual_seed(0)
    network = GraphCmr(GraphCmrConfig.lite())
    with torch.no_grad():
        for layer in (network.graph_cnn.camera_output, network.regressor.output):
            layer.weight.zero_()
        network.graph_cnn.camera_output.bias.copy_(torch.tensor([0.9, 0.0, 0.0]))
        # GraphCMR's space is ours turned by half a turn about x.
        half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        rotations = torch.cat([half_turn[None], torch.eye(3).expand(23, 3, 3)])
        network.regressor.output.bias.copy_(torch.cat([rotations.flatten(), torch.zeros(10)]))
    save_weights(folder / "lite_graphcmr.safetensors", network, {})


def test_the_body_can_come_from_graphcmr(backend, tmp_path):
    (tmp_path / "weights").mkdir()
    _t_pose_weights(tmp_path / "weights")
    quick = {**QUICK, "optimise": 0, "texture": False, "weights": str(tmp_path / "weights")}
    poses = {}
    for estimator in ("landmarks", "graphcmr", "both"):
        options = ReconstructOptions(photo=str(EXAMPLE), estimator=estimator, **quick)
        folder = backend.reconstruct(options, tmp_path / estimator)
        report = _report(folder)
        assert report["hypothesis"]["body_from"] == estimator
        assert ("graphcmr" in report["weights"]) == (estimator != "landmarks")
        assert ("landmark_depth" in report["weights"]) == (estimator != "graphcmr")
        poses[estimator] = np.array(report["body"]["pose"])
    np.testing.assert_allclose(poses["graphcmr"], 0, atol=1e-3)
    moved = np.abs(poses["both"] - poses["landmarks"]).max()
    assert moved > 0.01
    assert np.abs(poses["both"]).max() > 0.5


def test_graphcmr_without_weights_is_refused(backend, tmp_path):
    with pytest.raises(WeightsError, match=r"lite_graphcmr\.safetensors is missing"):
        backend.reconstruct(ReconstructOptions(photo=str(EXAMPLE), estimator="graphcmr"), tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_cancelling_in_any_stage_leaves_nothing(backend, tmp_path, stage):
    reached = []

    def on_progress(name, fraction, message):
        if name == stage:
            reached.append(name)

    with pytest.raises(Cancelled):
        backend.reconstruct(
            ReconstructOptions(photo=str(EXAMPLE), **QUICK),
            tmp_path / "out",
            on_progress=on_progress,
            cancelled=lambda: bool(reached),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_picture_is_refused(backend, tmp_path):
    path = tmp_path / "grey.png"
    Image.new("RGB", (400, 600), (128, 128, 128)).save(path)
    with pytest.raises(NoPersonError, match=r"grey\.png"):
        backend.reconstruct(ReconstructOptions(photo=str(path)), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["grey.png"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolution": 100},
        {"size": "huge"},
        {"texture_size": 1},
        {"person": 0},
        {"faces": 3},
        {"estimator": "x"},
    ],
)
def test_options_that_cannot_be(wrong):
    with pytest.raises(RequestError, match=next(iter(wrong)).rstrip("s")):
        ReconstructOptions(photo="x.png", **wrong)
