"""GraphCMR: its layers, its rotations, and its output as a body in our frames."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pamir_blender.body.estimator import BodyEstimator
from pamir_blender.body.graph_network import (
    GraphCmr,
    GraphCmrConfig,
    GraphResidual,
    orthogonalise,
    propagate,
)
from pamir_blender.body.graphcmr import GraphCmrEstimator, network_input, place_body
from pamir_blender.body.load import load_body_model
from pamir_blender.body.mesh_graph import BodyGraph, row_normalised
from pamir_blender.body.resnet import Bottleneck, ResNet50
from pamir_blender.body.skinning import rodrigues
from pamir_blender.errors import Cancelled, WeightsError

CONFIG = GraphCmrConfig(
    image_size=64, graph_vertices=12, width=16, blocks=1, shape_widths=(16, 16), regressor_width=8,
    regressor_blocks=1, idle_layers=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return load_body_model()


def _graph(name, count=12):
    from scipy import sparse

    ring = sparse.diags([1.0, 1.0], [1, -1], shape=(count, count))
    edges, weights = row_normalised(ring)
    positions = np.random.default_rng(0).uniform(-1, 1, (count, 3)).astype(np.float32)
    return BodyGraph(
        name, positions, edges, weights, sparse.csr_matrix((count, 1)), sparse.csr_matrix((1, count))
    )


def _network(config=CONFIG, seed=0):
    torch.manual_seed(seed)
    network = GraphCmr(config)
    with torch.no_grad():
        network.graph_cnn.camera_output.bias.copy_(torch.tensor([0.9, 0.1, -0.2]))
    return network


def _photo():
    crop = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    return SimpleNamespace(crop=crop)


def test_resnet_shapes_and_strides():
    assert ResNet50(idle_layers=False).eval()(torch.rand(1, 3, 64, 64)).shape == (1, 2048)
    assert Bottleneck(64, 32, 2)(torch.rand(2, 64, 8, 8)).shape == (2, 128, 4, 4)


def test_gradients_reach_every_parameter():
    network = _network().train()
    network.attach(_graph("ring"))
    outputs = network(torch.rand(3, 3, 64, 64))
    assert [tuple(o.shape) for o in outputs] == [(3, 12, 3), (3, 3), (3, 24, 3, 3), (3, 10)]
    # Random targets: sums of group-normalised channels would cancel.
    sum((o * torch.randn_like(o)).sum() for o in outputs).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_propagation_is_the_mean_of_the_neighbours():
    graph = _graph("ring", 4)
    adjacency = torch.sparse_coo_tensor(
        torch.tensor(graph.edges), torch.tensor(graph.weights), (4, 4), check_invariants=True
    )
    x = torch.tensor([[[0.0, 3.0, 6.0, 12.0], [1.0, 1.0, 1.0, 1.0]]]).expand(2, -1, -1)
    expected = torch.tensor([[1.5, 3.0, 7.0, 9.0], [1.0, 1.0, 1.0, 1.0]]).expand(2, -1, -1)
    torch.testing.assert_close(propagate(adjacency, x), expected)


def test_graph_norms_have_eight_channels_a_group():
    block = GraphResidual(64, 32, idle_layers=False)
    assert (block.norm1.num_groups, block.norm2.num_groups, block.norm3.num_groups) == (8, 2, 2)


def test_orthogonalise_gives_the_nearest_rotation():
    generator = torch.Generator().manual_seed(1)
    rotation = rodrigues(torch.randn(20, 3, generator=generator))
    noisy = rotation + 0.01 * torch.randn(20, 3, 3, generator=generator)
    for variant in ("paper", "released"):
        torch.testing.assert_close(orthogonalise(noisy, variant), rotation, rtol=0, atol=0.05)
        exact = orthogonalise(rotation, variant)
        torch.testing.assert_close(exact, rotation, rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_orthogonalise_keeps_its_precision_within_autocast(variant):
    """CPUs with AMX train in bfloat16, which has no determinant."""
    matrices = torch.randn(10, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        inside = orthogonalise(matrices, variant)
    assert torch.equal(inside, orthogonalise(matrices, variant))


def test_neighbours_means_have_their_gradient_within_autocast():
    adjacency = torch.tensor([[0.5, 0.5], [0.0, 1.0]]).to_sparse()
    x = torch.tensor([[[1.0, 3.0]]], requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        mean = propagate(adjacency, x.bfloat16())
    mean[0, 0, 0].backward()
    assert mean.tolist() == [[[2.0, 3.0]]]
    assert x.grad.tolist() == [[[0.5, 0.5]]]


def test_orthogonalise_of_a_reflection():
    mirrored = torch.diag(torch.tensor([3.0, 2.0, -1.0]))
    torch.testing.assert_close(orthogonalise(mirrored, "paper"), torch.eye(3))
    torch.testing.assert_close(
        orthogonalise(mirrored, "released"), torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    )
    for variant in ("paper", "released"):
        result = orthogonalise(torch.randn(50, 3, 3), variant)
        torch.testing.assert_close(torch.linalg.det(result), torch.ones(50))


@pytest.mark.parametrize(("variant", "factor"), [("paper", 0.5), ("released", 0.512)])
def test_camera_and_frame(model, variant, factor):
    generator = torch.Generator().manual_seed(0)
    pose = 0.4 * torch.randn(24, 3, generator=generator)
    betas = torch.randn(10, generator=generator)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotations = rodrigues(pose)
    rotations[0] = flip @ rotations[0]
    theirs = model(betas[None], rotations[None]).vertices[0].numpy()
    camera = torch.tensor([0.8, 0.1, -0.3])
    body = place_body(model, camera, rotations, betas, variant)
    ours = model(torch.tensor(body.betas)[None], torch.tensor(body.pose)[None]).vertices[0].numpy()
    box = body.placement.body_to_box(ours)
    scale = factor * 0.8
    expected = theirs * np.array([scale, -scale, -scale]) + [scale * 0.1, scale * 0.3, 0]
    np.testing.assert_allclose(box, expected, atol=1e-4)
    np.testing.assert_allclose(body.pose, pose.numpy(), atol=1e-3)
    assert body.model == model.name


@pytest.mark.parametrize("camera", [[-0.5, 0.0, 0.0], [0.0, 0.0, 0.0], [math.nan, 0.0, 0.0]])
def test_unusable_cameras_are_refused(model, camera):
    with pytest.raises(WeightsError, match="no usable camera"):
        place_body(model, torch.tensor(camera), torch.eye(3).expand(24, 3, 3), torch.zeros(10))


def test_input_is_normalised_as_imagenet():
    crop = np.full((512, 512, 3), 255, np.uint8)
    image = network_input(crop, 224)
    assert image.shape == (1, 3, 224, 224)
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(image[0, :, 100, 100], expected)


def test_estimator_gives_a_body(model):
    estimator = GraphCmrEstimator(_network(), _graph(model.name))
    assert isinstance(estimator, BodyEstimator)
    fractions = []
    body = estimator.estimate(_photo(), model, progress=fractions.append)
    assert body.betas.shape == (10,) and body.pose.shape == (24, 3)
    assert body.placement.scale > 0
    assert fractions == [1.0]
    again = estimator.estimate(_photo(), model)
    np.testing.assert_array_equal(body.pose, again.pose)


def test_estimator_without_weights_says_so(model):
    with pytest.raises(WeightsError, match="no weights"):
        GraphCmrEstimator().estimate(_photo(), model)


def test_estimator_stops_when_asked(model):
    estimator = GraphCmrEstimator(_network(), _graph(model.name))
    with pytest.raises(Cancelled):
        estimator.estimate(_photo(), model, cancelled=lambda: True)


def test_weights_of_another_body_are_refused(model):
    with pytest.raises(WeightsError, match="belong to the body model smpl"):
        GraphCmrEstimator(_network(), _graph("smpl")).estimate(_photo(), model)
    with pytest.raises(WeightsError, match="has 10 vertices"):
        GraphCmrEstimator(_network(), _graph(model.name, 10)).estimate(_photo(), model)


def test_the_open_bodys_graph(model, tmp_path):
    estimator = GraphCmrEstimator(_network(), cache_folder=tmp_path)
    with pytest.raises(WeightsError, match="1723 vertices"):  # the tiny network wants 12
        estimator.estimate(_photo(), model)
    assert estimator.graph.positions.shape == (1723, 3)
    template = model.template.numpy()
    back = estimator.graph.upsample @ (estimator.graph.downsample @ template)
    assert np.linalg.norm(back - template, axis=1).mean() < 0.002


@pytest.mark.parametrize(
    "change", [{"width": 17}, {"variant": "other"}, {"graph_vertices": 10**9}, {"regressor_width": 0}]
)
def test_unusable_configs_are_refused(change):
    with pytest.raises(WeightsError, match="GraphCMR configuration"):
        GraphCmrConfig(**change).validate()
