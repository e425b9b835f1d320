"""From a posed subject to samples on disk and back: what a network would be trained on."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from pamir_blender.errors import AssetsError
from pamir_blender.pamir.voxelise import voxelise_occupancy
from pamir_blender.training.dataset import ViewDataset, before_and_behind
from pamir_blender.training.depth_shift import shift_along
from pamir_blender.training.estimates import estimated_bodies
from pamir_blender.training.make_data import body_digest
from pamir_blender.training.poses import euler, sample_pose
from pamir_blender.training.samples import SampleOptions, random_view, write_points, write_view
from pamir_blender.training.sampling import Sight, inside
from pamir_blender.training.storage import (
    METRES_STEP,
    from_counts,
    pack_volume,
    read_arrays,
    to_counts,
    unpack_volume,
    write_arrays,
    write_json,
)
from pamir_blender.training.subjects import pose_subject
from pamir_blender.training.subset_body import SubsetBody

OPTIONS = SampleOptions(yaws=2, estimates=2, surface=4000, fine=3000, near=2000, tight=1000, uniform=1000)


@pytest.fixture(scope="module")
def posed(subject, registered, body, body_model):
    pose = sample_pose(np.random.default_rng(8), subject.joints, "stand")
    return pose_subject(subject, registered, pose, body, SubsetBody(body_model, np.arange(0, 6890, 7)))


@pytest.fixture(scope="module")
def renderer():
    from pamir_blender.training.rendering import Renderer

    try:
        made = Renderer()
    except Exception as error:  # no EGL driver on this machine
        pytest.skip(f"no off-screen OpenGL here: {error}")
    with made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory, posed, renderer, body, body_model):
    """A data set of one subject and two views."""
    out = tmp_path_factory.mktemp("data")
    for name in ("subjects", "views", "meshes"):
        (out / name).mkdir()
    rng = np.random.default_rng(0)
    surface, _, outside = write_points(out / "subjects" / "test.npz", posed, rng, OPTIONS)
    write_arrays(out / "meshes" / "test.npz", {"vertices": posed.vertices, "faces": outside})
    renderer.load(posed.vertices, posed.normals, posed.subject.uv, posed.subject.faces)
    renderer.load_texture(posed.subject.texture)
    sight = Sight(posed.vertices, posed.subject.faces)
    views = []
    for number in range(2):
        view, angles = random_view(rng, posed, number, 2)
        visible = sight.visible(surface.points, surface.normals, view.rotation[2])
        stem = out / "views" / f"test_{number}"
        written = write_view(stem, posed, view, visible, renderer, body, body_model.faces, rng, OPTIONS)
        views.append({"name": stem.name, "subject": "test", **angles, **written})
    digest = body_digest(body_model)
    write_json(out / "data.json", {"version": 1, "split": "train", "body_digest": digest, "views": views})
    return out


def test_sample_has_the_shapes_and_types_it_says(folder):
    data = ViewDataset(folder, split="train", image_size=128, points=500, color_points=200)
    sample = data[1]
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in sample.items()}
    f32, u8 = torch.float32, torch.uint8
    assert shapes == {
        "image": ((4, 128, 128), f32),
        "volume": ((1, 128, 128, 128), u8),
        "points": ((500, 3), f32),
        "dz": ((500,), f32),
        "occupancy": ((500,), f32),
        "point_kind": ((500,), u8),
        "body_true": ((6890, 3), f32),
        "body": ((6890, 3), f32),
        "color_points": ((200, 3), f32),
        "normals": ((200, 3), f32),
        "colors": ((200, 3), f32),
        "albedo": ((200, 3), f32),
        "visible": ((200,), torch.bool),
        "is_true": ((), torch.bool),
        "index": ((), torch.int64),
    }
    assert len(data) == 2


def test_points_are_labelled_by_the_true_mesh_whatever_body_conditions(folder):
    data = ViewDataset(folder, points=3000, true_body_share=0.0, augment=False)
    for index in range(2):
        sample = data[index]
        assert not sample["is_true"]
        assert sample["dz"].abs().max() > 0.002
        points = sample["points"].numpy().copy()
        points[:, 2] -= sample["dz"].numpy()
        vertices, faces = data.mesh(index)
        assert (inside(vertices, faces, points) == (sample["occupancy"].numpy() > 0.5)).mean() > 0.995
        assert 0.2 < sample["occupancy"].mean() < 0.6


def test_depth_shift_carries_points_to_the_estimated_body(folder):
    """A body vertex, shifted like a point beside it, must arrive at the estimated vertex's depth."""
    data = ViewDataset(folder, points=4000, true_body_share=0.0, augment=False)
    sample = data[0]
    true, estimated = sample["body_true"].numpy(), sample["body"].numpy()
    points = sample["points"].numpy().copy()
    points[:, 2] -= sample["dz"].numpy()
    near = (sample["point_kind"] == 2).numpy()
    distance = np.linalg.norm(points[near][:, None] - true[None, ::2], axis=2)
    wanted = (estimated - true)[::2, 2][distance.argmin(axis=1)]
    off = np.abs(sample["dz"].numpy()[near] - wanted)
    assert np.median(off) < 0.002
    assert (off < 0.01).mean() > 0.97  # between an arm and the trunk neighbours differ


def test_true_body_gives_no_shift_and_its_own_volume(folder, body_model):
    data = ViewDataset(folder, points=200, true_body_share=1.0, augment=False)
    sample = data[0]
    assert sample["is_true"]
    assert not sample["dz"].any()
    volume = voxelise_occupancy(sample["body_true"][None], body_model.faces)[0]
    assert (volume.to(torch.uint8) == sample["volume"]).float().mean() > 0.99999


def test_picture_shows_the_mesh(folder):
    data = ViewDataset(folder, image_size=256, points=16, color_points=1500, augment=False)
    sample = data[0]
    image, mask = sample["image"][:3], sample["image"][3]
    assert (image[:, mask == 0] == 1).all()
    vertices, _ = data.mesh(0)
    x, y = ((vertices[:, :2] * [1, -1] + 0.5) * 256).T
    inside_mask = mask.numpy()[y.astype(int).clip(0, 255), x.astype(int).clip(0, 255)] > 0
    assert inside_mask.mean() > 0.98
    rows = np.flatnonzero(mask.numpy().max(axis=1) > 0.5)
    assert 0.6 < (rows[-1] - rows[0]) / 256 < 0.95
    # Visible surface samples have the colours of the pixels they project to.
    seen = sample["visible"].numpy()
    assert 0.25 < seen.mean() < 0.6
    points = sample["color_points"].numpy().copy()
    if not sample["is_true"]:
        points = points[:0]
    u = ((points[seen[: len(points)], 0] + 0.5) * 256).astype(int)
    v = ((0.5 - points[seen[: len(points)], 1]) * 256).astype(int)
    if len(u):
        pixel = image.numpy()[:, v, u].T
        assert np.abs(pixel - sample["colors"].numpy()[seen]).mean() < 0.06


def test_draws_depend_on_seed_epoch_and_index_alone(folder):
    first, second = ViewDataset(folder, points=300, seed=1), ViewDataset(folder, points=300, seed=1)
    a, b = first[0], second[0]
    assert all(torch.equal(a[key], b[key]) for key in a)
    first.set_epoch(1)
    assert not torch.equal(first[0]["points"], b["points"])
    assert not torch.equal(ViewDataset(folder, points=300, seed=2)[0]["points"], b["points"])


def test_several_folders_are_one_data_set(folder):
    assert len(ViewDataset([folder, folder], points=16)) == 4


def test_wrong_or_damaged_folders_are_refused(folder, tmp_path):
    with pytest.raises(AssetsError, match="val"):
        ViewDataset(folder, split="val")
    with pytest.raises(AssetsError, match="missing or damaged"):
        ViewDataset(tmp_path)
    index = json.loads((folder / "data.json").read_text())
    (tmp_path / "data.json").write_text(json.dumps({**index, "views": []}))
    with pytest.raises(AssetsError, match="make_data"):
        ViewDataset(tmp_path)
    (tmp_path / "data.json").write_text(json.dumps(index))
    with pytest.raises(AssetsError, match="test_0"):
        ViewDataset(tmp_path, points=16)[0]
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "test_0.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(AssetsError, match="damaged"):
        ViewDataset(tmp_path, points=16)[0]


def test_estimates_err_in_depth_more_than_in_the_picture(posed, body):
    turn = euler(0, 20, 0)
    true = (posed.body_vertices @ turn.T * 0.46).astype(np.float32)
    found = estimated_bodies(
        np.random.default_rng(1),
        body,
        posed.betas,
        posed.body_rotations,
        true,
        turn,
        0.46,
        [0.2] * 6 + [1.0] * 6,
    )
    small, large = found[:6], found[6:]
    assert np.mean([e.depth_error for e in small]) < 0.5 * np.mean([e.depth_error for e in large])
    assert np.mean([e.depth_error for e in large]) > 1.3 * np.mean([e.plane_error for e in large])
    assert 0.02 < np.mean([e.depth_error for e in large]) < 0.08
    assert np.mean([e.plane_error for e in large]) < 0.03


def test_arrays_survive_storage(tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(-2, 2, (100, 3))
    np.testing.assert_allclose(from_counts(to_counts(points, METRES_STEP), METRES_STEP), points, atol=5e-5)
    volume = rng.random((128, 128, 128)) < 0.1
    np.testing.assert_array_equal(unpack_volume(pack_volume(volume)), volume)
    write_arrays(tmp_path / "a.npz", {"x": points})
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz")["x"], points)
    with pytest.raises(AssetsError, match="damaged"):
        read_arrays(tmp_path / "a.npz", ("y",))


def test_a_packed_volume_cannot_grow_without_bound():
    import zlib

    bomb = np.frombuffer(zlib.compress(bytes(10_000_000)), np.uint8)
    assert unpack_volume(bomb).shape == (128, 128, 128)
    with pytest.raises(ValueError, match="short"):
        unpack_volume(np.frombuffer(zlib.compress(bytes(100)), np.uint8))


def test_depth_shift_is_the_weighted_mean():
    depth = np.array([0.0, 1.0, 2.0], np.float32)
    nearest = np.array([[0, 1, 2, 2], [1, 1, 1, 1]], np.uint16)
    weight = np.array([[0, 128, 127, 0], [255, 0, 0, 0]], np.uint8)
    np.testing.assert_allclose(shift_along(depth, nearest, weight), [1.498, 1.0], atol=1e-3)


def test_without_the_depth_shift_points_stay_at_the_truth(folder):
    shifted = ViewDataset(folder, points=800, true_body_share=0.0, augment=False)[0]
    plain = ViewDataset(folder, points=800, true_body_share=0.0, augment=False, shift_depth=False)[0]
    assert not plain["dz"].any()
    assert torch.equal(plain["body"], shifted["body"])
    back = shifted["points"].clone()
    back[:, 2] -= shifted["dz"]
    assert torch.allclose(plain["points"], back, atol=1e-6)


def test_the_baseline_without_a_body_sees_depth_alone(folder):
    sample = ViewDataset(folder, points=16, true_body_share=0.0, variant="pifu")[0]
    volume = sample["volume"]
    assert volume.shape == (1, 128, 128, 128)
    depth = (torch.arange(128) + 0.5) / 128
    assert torch.equal(volume[0, :, 5, 7], depth)
    assert torch.equal(volume[0, :, 90, 100], depth)


def test_emphasised_points_are_drawn_more_often(folder, body_model):
    head = body_model.skinning_weights.numpy().argmax(axis=1) == 15
    shares = []
    for emphasis in (None, np.where(head, 8.0, 1.0)):
        data = ViewDataset(
            folder,
            points=16,
            color_points=3000,
            true_body_share=1.0,
            augment=False,
            vertex_emphasis=emphasis,
        )
        sample = data[0]
        high = sample["color_points"][:, 1] > sample["body_true"][head][:, 1].min()
        shares.append((float(high.float().mean()), float(sample["visible"].float().mean())))
    assert shares[1][0] > 3 * shares[0][0]
    assert shares[1][1] < shares[0][1]  # and hidden points, too


def test_empty_points_move_to_the_person_and_mostly_to_cloth_beside_the_body():
    rng = np.random.default_rng(0)
    empty = rng.uniform(-0.5, 0.5, (4000, 3)).astype(np.float32)
    skin = rng.uniform((-0.1, -0.4, -0.05), (0.0, 0.4, 0.05), (4000, 3)).astype(np.float32)
    cloth = rng.uniform((0.1, -0.4, -0.05), (0.2, 0.4, 0.05), (4000, 3)).astype(np.float32)
    moved = before_and_behind(rng, empty, np.concatenate([skin, cloth]), skin)
    np.testing.assert_array_equal(moved[:, 2], empty[:, 2])
    here = (moved[:, :2] != empty[:, :2]).any(axis=1)
    assert 0.7 < here.mean() < 0.8
    assert 0.75 < (moved[here, 0] > 0.1).mean() < 0.9  # five to one
    np.testing.assert_array_equal(before_and_behind(rng, empty, skin[:0], skin), empty)


def test_empty_space_before_and_behind_the_person_is_sampled(folder):
    """Points far from the person in depth, where the picture shows the person: labelled outside."""
    sample = ViewDataset(folder, image_size=256, points=6000, true_body_share=1.0, augment=False)[0]
    points, mask = sample["points"].numpy(), sample["image"][3].numpy()
    column, row = ((points[:, :2] * [1, -1] + 0.5) * 256).astype(int).clip(0, 255).T
    body = sample["body_true"].numpy()[:, 2]
    far = (points[:, 2] < body.min() - 0.1) | (points[:, 2] > body.max() + 0.1)
    on_person = far & (mask[row, column] > 0.5)
    assert on_person.sum() > 0.3 * far.sum()
    assert not sample["occupancy"].numpy()[on_person].any()


def test_training_goes_on_in_a_process_that_draws():
    """A CUDA build's triton and Mesa's renderer must not meet in the wrong order."""
    code = (
        "import torch\nfrom pamir_blender.training.rendering import Renderer\n"
        "try:\n    renderer = Renderer()\nexcept Exception as error:\n    print('none', error)\n"
        "torch.optim.Adam([torch.zeros(1, requires_grad=True)])\nprint('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("alive\n")
