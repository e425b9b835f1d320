import dataclasses
import json

import numpy as np
import pytest
import torch

pytest.importorskip("igl", reason="libigl is not installed (extra 'train')")
trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed (extra 'train')")

from pamir_blender.pamir.config import GeometryConfig, ImageEncoderConfig, VolumeEncoderConfig  # noqa: E402
from pamir_blender.pamir.geometry import GeometryNetwork  # noqa: E402
from pamir_blender.pamir.voxelise import voxelise_occupancy  # noqa: E402
from pamir_blender.pamir.weights import load_geometry, read_card  # noqa: E402
from pamir_blender.training.batches import mirror, outline_weights, recolor, sample_image  # noqa: E402
from pamir_blender.training.geometry_task import GeometryTask  # noqa: E402
from pamir_blender.training.parallel import run_in_processes  # noqa: E402
from pamir_blender.training.precision import choose_precision  # noqa: E402
from pamir_blender.training.schedule import Budget  # noqa: E402
from pamir_blender.training.trainer import Trainer, TrainingOptions  # noqa: E402

SIZE, VOXELS, SCALE = 64, 32, 0.5

TINY = GeometryConfig(
    image=ImageEncoderConfig(
        image_size=SIZE,
        image_channels=4,
        stem_stride=2,
        stem_channels=8,
        stacks=1,
        level_widths=(8, 16, 16),
        residuals=1,
        feature_channels=8,
    ),
    volume=VolumeEncoderConfig(
        resolution=VOXELS, channels=1, stem=((4, 4, 1, 8),), blocks=0, intermediate_outputs=False
    ),
    decoder=dataclasses.replace(GeometryConfig.lite().decoder, hidden=(32, 32)),
    size="lite",
)


BALL = trimesh.creation.icosphere(subdivisions=3)


def ellipsoid(radii, centre):
    return np.asarray(BALL.vertices) * radii + centre, np.asarray(BALL.faces)


class Ellipsoids:
    """Persons that are ellipsoids, in clothes that only the photo shows: wider than they are by half or more.

    The body is an ellipsoid of known place; the estimated one is off along z, and the points are with it.
    """

    def __init__(self, count, points=512, estimated=True):
        self.count, self.points, self.estimated, self.epoch = count, points, estimated, 0
        self.views = [{"scale": SCALE}] * count

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.count

    def shape(self, index):
        rng = np.random.default_rng(index)
        centre = np.array([*rng.uniform(-0.1, 0.1, 2), 0.0])
        body = np.array([0.12, 0.25, 0.12])
        return centre, body, body * [rng.uniform(1.4, 2.0), 1.0, 1.0]

    def mesh(self, index):
        centre, _, clothed = self.shape(index)
        return ellipsoid(clothed, centre)

    def __getitem__(self, index):
        rng = np.random.default_rng((index, self.epoch))
        centre, body, clothed = self.shape(index)
        dz = rng.uniform(-0.05, 0.05) if self.estimated else 0.0
        vertices, faces = ellipsoid(body, centre + np.array([0, 0, dz]))
        surface, _ = ellipsoid(clothed, centre)
        points = surface[rng.integers(len(surface), size=self.points)] + rng.normal(0, 0.03, (self.points, 3))
        inside = (((points - centre) / clothed) ** 2).sum(axis=1) < 1.0
        axis = (np.arange(SIZE) + 0.5) / SIZE - 0.5
        x, y = np.meshgrid(axis, -axis)
        mask = ((x - centre[0]) / clothed[0]) ** 2 + ((y - centre[1]) / clothed[1]) ** 2 < 1.0
        image = np.where(mask, 0.4, 1.0)
        volume = voxelise_occupancy(torch.from_numpy(vertices)[None].float(), torch.from_numpy(faces), VOXELS)
        return {
            "image": torch.from_numpy(np.stack([image, image, image, mask])).float(),
            "volume": volume[0].to(torch.uint8),
            "points": torch.from_numpy(points + np.array([0, 0, dz])).float(),
            "occupancy": torch.from_numpy(inside).float(),
            "body": torch.from_numpy(vertices).float(),
        }


def build(out, budget, group=None, **changes):
    torch.manual_seed(0)
    held_out = {"true": Ellipsoids(3, estimated=False)}
    _, faces = ellipsoid(np.ones(3), np.zeros(3))
    task = GeometryTask(
        GeometryNetwork(TINY),
        held_out=held_out,
        body_faces=faces,
        export_path=out / "weights.safetensors",
        mesh_views=2,
        mesh_resolution=32,
        card={"name": "ellipsoids"},
    )
    values = {"average": 0.98, "batch_size": 8, "learning_rate": 1e-2, "workers": 0, "precision": "float32"}
    return Trainer(task, lambda: Ellipsoids(64), TrainingOptions(out, budget, **{**values, **changes}), group)


def log_lines(out, kind):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_a_reduced_training_beats_the_body_alone(tmp_path):
    """The whole loop: the network must learn clothes that the body does not have, and export itself."""
    scores = build(tmp_path, Budget(steps=90), log_seconds=0.0).run()
    assert scores["true_meshes"] == 2
    assert scores["true_chamfer"] < 0.6 * scores["true_body_chamfer"]
    assert scores["true_silhouette_iou"] > 0.1 + scores["true_body_silhouette_iou"]
    losses = [line["total"] for line in log_lines(tmp_path, "train")]
    assert np.mean(losses[-10:]) < 0.6 * losses[0]
    assert (tmp_path / "curves.png").stat().st_size > 1000
    network = load_geometry(tmp_path / "weights.safetensors")
    assert network.config == TINY
    card = read_card(tmp_path / "weights.safetensors")
    assert card["validation"] == scores
    assert (card["name"], card["steps"], card["samples"]) == ("ellipsoids", 90, 720)
    sample = Ellipsoids(3, estimated=False)[1]
    occupancy = network(sample["image"][None], sample["volume"][None].float(), sample["points"][None])[0]
    assert ((occupancy > 0.5) == (sample["occupancy"] > 0.5)).float().mean() > 0.8


def test_interrupted_training_resumes_where_it_stopped(tmp_path):
    first = build(tmp_path, Budget(steps=3))
    first.run()
    second = build(tmp_path, Budget(steps=5))
    assert second.resume()
    assert (second.step, second.samples, second.elapsed) == (3, 24, first.elapsed)
    for name, value in second.network.state_dict().items():
        assert torch.equal(value, first.network.state_dict()[name]), name
    moments = second.optimizer.state_dict()["state"][0]["exp_avg"]
    assert torch.equal(moments, first.optimizer.state_dict()["state"][0]["exp_avg"])
    second.run()
    assert second.step == 5
    assert [line["resumed"] for line in log_lines(tmp_path, "start")] == [False, True]


def test_the_same_seed_gives_the_same_weights(tmp_path):
    results = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer = build(tmp_path / name, Budget(steps=2), seed=seed)
        trainer.run()
        results.append(torch.cat([p.detach().flatten() for p in trainer.network.parameters()]))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def _two(group, out):
    trainer = build(out, Budget(steps=2), group=group, batch_size=2)
    trainer.run()
    torch.save(trainer.network.state_dict(), out / f"{group.rank}.pt")
    for parameter in trainer.network.parameters():
        parameter.grad = torch.full_like(parameter, float(group.rank + 1))
    group.average_gradients(trainer.network.parameters())
    assert all((p.grad == 1.5).all() for p in trainer.network.parameters())
    assert group.agree(float(group.rank + 3)) == 3.0


def test_two_processes_train_one_network(tmp_path):
    run_in_processes(2, _two, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (state["step"], state["samples"]) == (2, 8)
    assert len(log_lines(tmp_path, "start")) == 1


def test_the_average_follows_the_weights(tmp_path):
    trainer = build(tmp_path, Budget(steps=1), average=0.5)
    before = {k: v.clone() for k, v in trainer.average.network.state_dict().items()}
    with torch.no_grad():
        for parameter in trainer.network.parameters():
            parameter.add_(1.0)
    trainer.average.update(trainer.network)
    share = 1.0 - 2 / 11  # the ramp's first step
    for name, value in trainer.average.network.state_dict().items():
        assert torch.allclose(value, before[name] + share, atol=1e-6), name


def test_training_stops_at_a_gradient_that_is_not_finite(tmp_path):
    trainer = build(tmp_path, Budget(steps=2))
    with torch.no_grad():
        next(trainer.network.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        trainer.run()


def test_a_failing_validation_loses_no_training(tmp_path):
    trainer = build(tmp_path, Budget(steps=2))

    def fail(network):
        raise RuntimeError("no such library")

    trainer.task.validate = fail
    with pytest.raises(RuntimeError, match="library"):
        trainer.run()
    resumed = build(tmp_path, Budget(steps=2))
    assert resumed.resume()
    assert resumed.step == 2
    assert load_geometry(tmp_path / "weights.safetensors").config == TINY


def test_mirror_keeps_points_on_their_pixels():
    batch = {
        "image": torch.rand(2, 4, 16, 16),
        "volume": torch.rand(2, 1, 8, 8, 8),
        "points": torch.rand(2, 50, 3) - 0.5,
        "occupancy": torch.rand(2, 50),
    }
    mirrored = mirror(batch, torch.tensor([True, False]))
    for key in batch:
        assert torch.equal(mirrored[key][1], batch[key][1])
    assert not torch.equal(mirrored["points"][0], batch["points"][0])
    seen = sample_image(batch["image"], batch["points"])
    assert torch.allclose(sample_image(mirrored["image"], mirrored["points"]), seen, atol=1e-5)
    assert torch.equal(mirrored["volume"][0].flip(-1), batch["volume"][0])


def test_recoloured_colours_follow_the_picture_and_white_stays():
    image = torch.ones(4, 4, 8, 8)
    colors = torch.rand(4, 1, 3) * 0.2 + 0.4
    image[:, :3, :, :4] = colors[:, 0, :, None, None]
    torch.manual_seed(0)
    changed = recolor({"image": image, "colors": colors}, 1.0)
    assert not torch.equal(changed["colors"], colors)
    inside = torch.tensor([[[-0.3, 0.0, 0.0]]]).expand(4, 1, 3)
    seen = sample_image(changed["image"][:, :3], inside)
    assert torch.allclose(seen, changed["colors"], atol=1e-6)
    assert torch.allclose(changed["image"][:, :, :, 4:], torch.ones(()), atol=1e-6)
    assert torch.equal(changed["image"][:, 3], image[:, 3])


def test_image_is_sampled_at_pixel_centres_with_row_zero_on_top():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    points = torch.tensor([[[-0.375, 0.375, 0.0], [0.375, 0.375, 9.0], [-0.375, -0.375, 0.0]]])
    assert sample_image(image, points)[0, :, 0].tolist() == pytest.approx([0.0, 3.0, 12.0])


def test_outline_weights_are_high_at_the_edge_only():
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, :, :32] = 1.0
    points = torch.tensor([[[0.0, 0.1, 0.2], [0.2, 0.1, 0.2], [-0.2, 0.0, 0.0]]])
    assert outline_weights(mask, points, 2.0)[0].tolist() == pytest.approx([3.0, 1.0, 1.0])


def test_precision_is_measured_or_as_asked():
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) in (torch.float32, torch.bfloat16)
    assert choose_precision("bfloat16", cpu) == torch.bfloat16
    with pytest.raises(ValueError, match="precision"):
        choose_precision("float16", cpu)
