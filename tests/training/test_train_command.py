"""What the training command's switches mean for the views."""

from pathlib import Path

import pytest

from pamir_blender.training.train import _conditions, build_parser, main


def conditions(*words):
    return _conditions(build_parser().parse_args(["geometry", "--data", "d", "--out", "o", *words]))


def test_bodies_in_training():
    assert conditions()["true_body_share"] == 0.3
    assert conditions("--true-bodies", "0.6")["true_body_share"] == 0.6
    assert conditions("--bodies", "true")["true_body_share"] == 1.0
    assert conditions("--bodies", "estimated", "--true-bodies", "0.6")["true_body_share"] == 0.0


def test_ablation_switches():
    assert conditions()["shift_depth"] is True
    assert conditions()["variant"] == "pamir"
    assert conditions("--no-depth-shift")["shift_depth"] is False
    assert conditions("--variant", "pifu")["variant"] == "pifu"


@pytest.mark.parametrize("network", ["geometry", "texture"])
def test_missing_data_is_one_line_and_status_2(tmp_path, capsys, network):
    weights = str(Path(__file__).parents[2] / "models" / "lite_geometry.safetensors")
    words = [network, "--data", str(tmp_path / "none"), "--out", str(tmp_path / "run"), "--minutes", "1"]
    assert main([*words, "--geometry-weights", weights]) == 2
    assert "train: " in capsys.readouterr().err
