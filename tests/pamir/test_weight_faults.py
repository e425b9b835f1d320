"""Whole weights files that are not the right ones: swapped, of another pair or size, poisoned."""

import io
import json
import shutil
import zipfile
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_networks import geometry, texture, texture_config

from pamir_blender.errors import WeightsError
from pamir_blender.pamir import checkpoints, weights
from pamir_blender.pamir.networks import load_networks
from pamir_blender.pamir.texture import TextureNetwork
from pamir_blender.pamir.weights import save_weights

CPU = torch.device("cpu")


@pytest.fixture
def pair(tmp_path):
    """A folder with a geometry and the texture that was trained with it."""
    digest = save_weights(tmp_path / "paper_geometry.safetensors", geometry(), {})
    save_weights(tmp_path / "paper_texture.safetensors", texture(), {"geometry": digest})
    return tmp_path


def load(folder, **options):
    return load_networks("paper", folder, CPU, **options)


def test_the_pair_loads(pair):
    assert load(pair).texture is not None


def test_a_geometry_of_another_pair_is_refused_and_its_return_is_enough(pair):
    path = pair / "paper_geometry.safetensors"
    good = path.read_bytes()
    save_weights(path, geometry(seed=1), {})
    with pytest.raises(WeightsError, match=r"do not belong together.*Put back") as caught:
        load(pair)
    assert str(path) in str(caught.value) and "paper_texture" in str(caught.value)
    assert load(pair, texture=False).texture is None  # without colours it is as good as any
    path.write_bytes(good)
    load(pair)


def test_a_texture_that_names_no_geometry_must_fit_at_least(pair):
    save_weights(pair / "paper_texture.safetensors", texture(), {})
    load(pair)
    save_weights(pair / "paper_texture.safetensors", texture(geometry_channels=16), {})
    with pytest.raises(WeightsError, match=r"do not fit each other.*12 features.*reads 16"):
        load(pair)


def test_a_texture_that_reads_no_geometry_goes_with_any(pair):
    alone = texture(geometry_channels=0)
    save_weights(pair / "paper_texture.safetensors", alone, {"geometry": "0" * 64})
    load(pair)


def test_the_two_files_swapped_are_told_apart(pair):
    one, two, between = (pair / f"paper_{name}.safetensors" for name in ("geometry", "texture", "other"))
    one.rename(between), two.rename(one), between.rename(two)
    with pytest.raises(WeightsError, match="holds texture weights, geometry weights are needed"):
        load(pair)


@pytest.mark.parametrize("kind", ["geometry", "texture"])
def test_networks_under_another_sizes_name_are_refused(pair, kind):
    for name in ("geometry", "texture"):
        shutil.copy(pair / f"paper_{name}.safetensors", pair / f"lite_{name}.safetensors")
    if kind == "texture":  # the geometry is what its name says
        digest = _resave_as_lite(pair / "lite_geometry.safetensors")
        assert digest
    with pytest.raises(
        WeightsError, match=f"lite_{kind}.safetensors holds a network of size paper, not lite"
    ):
        load_networks("lite", pair, CPU)


def _resave_as_lite(path):
    network = geometry()
    network.config = replace(network.config, size="lite")
    return save_weights(path, network, {})


@pytest.mark.parametrize("keep", [0, 7, 0.3, 0.999])
def test_a_truncated_file_is_refused_and_the_whole_one_works_after(pair, keep):
    path = pair / "paper_texture.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[: int(keep * len(good)) if keep < 1 else keep])
    with pytest.raises(WeightsError, match=r"paper_texture\.safetensors cannot be used"):
        load(pair)
    path.write_bytes(good)
    load(pair)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_values_that_are_not_numbers_are_refused_even_with_the_right_checksum(pair, poison):
    path = pair / "paper_geometry.safetensors"
    with safe_open(str(path), framework="pt") as file:
        tensors, metadata = {n: file.get_tensor(n) for n in file.keys()}, dict(file.metadata())  # noqa: SIM118
    name = next(n for n in tensors if tensors[n].is_floating_point())
    tensors[name].view(-1)[0] = poison
    metadata["sha256"] = weights._digest("geometry", metadata["config"], tensors)
    save_file(tensors, str(path), metadata=metadata)
    with pytest.raises(WeightsError, match="not numbers"):
        load(pair, texture=False)


def test_a_checkpoint_that_unpacks_to_terabytes_is_refused_unread(tmp_path, monkeypatch):
    """A small bound stands in for the real one; the archive announces more than it and is never unpacked."""
    monkeypatch.setattr(checkpoints, "MAX_BYTES", 1 << 20)
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", b"\0" * (3 << 20))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(checkpoints.torch, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(WeightsError, match="unpacks to"):
        checkpoints.read_released_geometry(path)


def test_a_checkpoint_of_ordinary_size_still_reaches_the_reader(tmp_path):
    path, buffer = tmp_path / "ordinary.pt", io.BytesIO()
    torch.save({"pamir_net": {}}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError, match=r"ve\.conv1\.weight is missing"):
        checkpoints.read_released_geometry(path)


def test_a_hostile_configuration_of_great_depth_is_refused(pair):
    path = pair / "paper_texture.safetensors"
    with safe_open(str(path), framework="pt") as file:
        tensors, metadata = {n: file.get_tensor(n) for n in file.keys()}, dict(file.metadata())  # noqa: SIM118
    for config in ("[" * 100_000, json.dumps({"image": 10**400})):
        save_file(tensors, str(path), metadata={**metadata, "config": config})
        with pytest.raises(WeightsError):
            load(pair)


def test_the_configs_size_is_what_the_tests_above_rely_on():
    assert TextureNetwork(texture_config()).config.size == "paper"
