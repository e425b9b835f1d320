"""GraphCMR's training: pictures and bodies change together, and the losses know the truth."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from pamir_blender.body.graph_network import GraphCmr, GraphCmrConfig
from pamir_blender.body.graphcmr import camera_of, place_body
from pamir_blender.body.mesh_graph import build_body_graph
from pamir_blender.body.skinning import rodrigues
from pamir_blender.training import body_views
from pamir_blender.training.augment import photo_like
from pamir_blender.training.body_views import BodyViews, mirrored
from pamir_blender.training.graphcmr_task import GraphCmrTask

CONFIG = dataclasses.replace(GraphCmrConfig.lite(), width=16, blocks=0, shape_widths=(16, 16), image_size=64)


def box_places(body, sample):
    """Vertices (V, 2) of the body that a sample describes, box x and y."""
    betas, rotations = sample["betas"][None], sample["rotations"][None]
    vertices, joints = body(betas, rotations)
    return ((vertices - joints[:, :1])[0, :, :2] * sample["scale"] + sample["pelvis"]).numpy()


@pytest.mark.parametrize("epoch", range(6))
def test_the_body_stays_in_its_picture(data, body, epoch, monkeypatch):
    # Exact masks: only what moves picture and body is under test.
    monkeypatch.setattr(
        body_views, "photo_like", lambda rng, picture, size, toning: photo_like(rng, picture, size, None)
    )
    views = BodyViews(data / "train", CONFIG, split="train", seed=3)
    views.set_epoch(epoch)
    sample = views[epoch % len(views)]
    mask = sample["image"][3].numpy()
    places = box_places(body, sample)
    column, row = ((places * [1, -1] + 0.5) * CONFIG.image_size).astype(int).clip(0, CONFIG.image_size - 1).T
    covered = mask[row, column] > 0.2
    assert covered.mean() > 0.95
    # And fills it: no side of the mask lies far beyond the body.
    rows, _ = np.nonzero(mask > 0.5)
    assert abs(rows.min() - row.min()) < 6
    assert abs(rows.max() - row.max()) < 6


def test_views_repeat_themselves_and_change_with_the_epoch(data):
    views = BodyViews(data / "train", CONFIG, seed=1)
    first, again = views[0], views[0]
    views.set_epoch(1)
    other = views[0]
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["rotations"], other["rotations"])
    plain = BodyViews(data / "val", CONFIG, split="val", augment=False)
    assert torch.equal(plain[0]["image"], plain[0]["image"])


def test_a_mirrored_pose_is_the_mirror_image(body):
    rng = np.random.default_rng(0)
    pose = rodrigues(torch.from_numpy(rng.normal(0, 0.4, (24, 3)))).numpy()
    twice = mirrored(mirrored(pose))
    np.testing.assert_allclose(twice, pose)
    both = torch.from_numpy(np.stack([pose, mirrored(pose)])).float()
    _, joints = body(torch.zeros(2, 10), both)
    joints = (joints - joints[:, :1]).numpy()
    left, right = 18, 19
    np.testing.assert_allclose(joints[1, left], joints[0, right] * [-1, 1, 1], atol=0.01)
    np.testing.assert_allclose(joints[1, 15], joints[0, 15] * [-1, 1, 1], atol=0.01)


def test_camera_is_the_inverse_of_placing(body_model):
    betas = torch.linspace(-1, 1, 10)
    pelvis = body_model.rest_joints(betas[None])[0]
    camera = camera_of(torch.tensor([0.44]), torch.tensor([[0.03, -0.07]]), pelvis[:1])
    placed = place_body(body_model, camera[0], torch.eye(3).expand(24, 3, 3), betas)
    assert placed.placement.scale == pytest.approx(0.44, rel=1e-5)
    np.testing.assert_allclose(placed.placement.translation[:2], [0.03, -0.07], atol=1e-5)


class Oracle(nn.Module):
    """Answers as a perfect network would."""

    def __init__(self, network, answer):
        super().__init__()
        self.config, self.answer = network.config, answer

    def attach(self, graph):
        self.graph = graph

    def forward(self, image):
        return self.answer


def test_losses_vanish_at_the_truth_alone(data, body_model, tmp_path):
    views = BodyViews(data / "train", CONFIG, split="train")
    batch = {key: torch.stack([views[0][key], views[1][key]]) for key in views[0]}
    network, graph = GraphCmr(CONFIG), build_body_graph(body_model)
    task = GraphCmrTask(
        network, model=body_model, graph=graph, held_out=views, export_path=tmp_path / "w.safetensors"
    )
    target = task._target(batch)
    camera = camera_of(
        batch["scale"],
        batch["pelvis"] - batch["scale"][:, None] * body_model.rest_joints(batch["betas"])[:, 0, :2],
        body_model.rest_joints(batch["betas"])[:, 0],
    )
    task.network = Oracle(network, (target["vertices"], camera, target["rotations"], batch["betas"]))
    assert float(task.loss(batch)["total"]) < 1e-5
    raised = target["vertices"] + torch.tensor([0.0, 0.1, 0.0])
    task.network = Oracle(network, (raised, camera, target["rotations"], batch["betas"]))
    parts = task.loss(batch)
    assert float(parts["vertices"]) == pytest.approx(0.1 / 3, rel=1e-3)
    assert float(parts["projection"]) == pytest.approx(0.05 * float(camera[:, 0].mean()), rel=1e-2)
    assert float(parts["regressed"]) < 1e-6


def test_the_regressor_does_not_change_the_graph_network(data, body_model, tmp_path):
    """Kolotouros et al. train it on the vertices as they come."""
    network, graph = GraphCmr(CONFIG).train(), build_body_graph(body_model)
    network.attach(graph)
    _, _, rotations, betas = network(torch.rand(2, 4, 64, 64))
    (rotations.sum() + betas.sum()).backward()
    assert all(p.grad is None for p in network.graph_cnn.parameters())
    assert any(p.grad is not None for p in network.regressor.parameters())
