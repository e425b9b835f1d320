"""The level of a geometry network."""

import numpy as np
import pytest
import torch

from pamir_blender.errors import RequestError
from pamir_blender.pamir.config import GeometryConfig
from pamir_blender.pamir.geometry import GeometryNetwork
from pamir_blender.pamir.weights import load_geometry, read_card, save_weights, weights_digest
from pamir_blender.training import settle_level


def test_a_prior_that_was_moved_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 200_000)
    inside = rng.random(len(logits)) < 1 / (1 + np.exp(-logits))
    assert abs(settle_level.likeliest_shift(logits, inside)) <= 0.05
    assert settle_level.likeliest_shift(logits + 0.6, inside) == pytest.approx(-0.6, abs=0.051)


def test_a_network_beyond_all_shifts_is_refused():
    with pytest.raises(RequestError, match="too far off"):
        settle_level.likeliest_shift(np.zeros(100), np.arange(100) < 2)


def test_even_points_are_inside_the_true_mesh_where_they_say_so(data):
    import trimesh

    views = settle_level.ViewDataset(data / "val", points=64, true_body_share=1.0, augment=False)
    points, inside = settle_level.even_points(views, 0)
    mesh = trimesh.Trimesh(*views.mesh(0), process=False)
    some = np.concatenate([np.flatnonzero(inside)[:200], np.flatnonzero(~inside)[:200]])
    assert len(some) == 400
    assert (mesh.contains(points[some]) == inside[some]).mean() > 0.97


def test_the_command_moves_the_last_bias_alone(data, tmp_path, monkeypatch):
    torch.manual_seed(0)
    path, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_weights(path, GeometryNetwork(GeometryConfig.lite()), {"seed": 1})
    monkeypatch.setattr(settle_level, "likeliest_shift", lambda logits, inside: -0.25)
    assert settle_level.main([str(path), str(data / "val"), str(out)]) == 0
    before, after = load_geometry(path).state_dict(), load_geometry(out).state_dict()
    for name, value in after.items():
        wanted = before[name] - 0.25 if name == "decoder.layers.4.bias" else before[name]
        torch.testing.assert_close(value, wanted, atol=2e-4, rtol=0)
    assert read_card(out)["level"] == {"of": weights_digest(path), "views": 2, "shift": -0.25}
    assert settle_level.main([str(path), str(tmp_path / "none"), str(out)]) == 2
