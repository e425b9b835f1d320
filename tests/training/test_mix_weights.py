"""The mean of two networks."""

import pytest
import torch

from pamir_blender.errors import RequestError
from pamir_blender.pamir.config import GeometryConfig
from pamir_blender.pamir.geometry import GeometryNetwork
from pamir_blender.pamir.weights import load_geometry, read_card, save_weights, weights_digest
from pamir_blender.training import mix_weights


def test_the_command_writes_the_mean_and_says_of_what(tmp_path):
    paths, states = [], []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = GeometryNetwork(GeometryConfig.lite())
        paths.append(tmp_path / f"{seed}.safetensors")
        save_weights(paths[-1], network, {"seed": seed})
        states.append(load_geometry(paths[-1]).state_dict())
    out = tmp_path / "mean.safetensors"
    assert mix_weights.main([*map(str, paths), str(out), "--share", "0.25"]) == 0
    for name, value in load_geometry(out).state_dict().items():
        wanted = 0.75 * states[0][name] + 0.25 * states[1][name]
        torch.testing.assert_close(value, wanted, atol=1e-3, rtol=1e-3)
    card = read_card(out)
    assert card["seed"] == 1
    assert card["mixed"] == {"of": [weights_digest(p) for p in paths], "share_of_second": 0.25}


def test_unlike_networks_and_shares_are_refused(tmp_path, capsys):
    with pytest.raises(RequestError, match="one shape"):
        mix_weights.mix(torch.nn.Linear(2, 2), torch.nn.Linear(2, 3), 0.5)
    with pytest.raises(RequestError, match="between 0 and 1"):
        mix_weights.mix(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), 1.5)
    assert mix_weights.main([str(tmp_path / "no"), str(tmp_path / "no"), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("mix_weights: ")
