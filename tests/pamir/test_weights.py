"""Weights files: the round trip, and every reason to refuse one."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_networks import geometry, inputs, texture

from pamir_blender.body.graph_network import GraphCmr, GraphCmrConfig
from pamir_blender.errors import WeightsError
from pamir_blender.pamir import weights
from pamir_blender.pamir.weights import (
    find_weights,
    load_geometry,
    load_graphcmr,
    load_texture,
    read_card,
    save_weights,
    weights_digest,
)

CARD = {"what": "a test", "scores": {"point_to_surface_cm": 1.5}, "licence": "CC0-1.0"}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "lite_geometry.safetensors"
    network = geometry()
    return path, network, save_weights(path, network, CARD)


def _contents(path):
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


def test_geometry_round_trip(saved):
    path, network, digest = saved
    loaded = load_geometry(path)
    assert loaded.config == network.config
    assert not loaded.training
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value.half().float(), rtol=0, atol=0)
    assert weights_digest(path) == digest and len(digest) == 64
    assert read_card(path) == CARD
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    image, volume, points = inputs()
    torch.testing.assert_close(
        loaded(image, volume, points), network(image, volume, points), rtol=0, atol=0.01
    )


def test_texture_round_trip(tmp_path):
    network = texture()
    save_weights(tmp_path / "t.safetensors", network, {})
    assert load_texture(tmp_path / "t.safetensors").config == network.config


def test_graphcmr_round_trip(tmp_path):
    config = GraphCmrConfig(
        graph_vertices=12, width=16, blocks=1, shape_widths=(16, 16), regressor_width=8, regressor_blocks=1
    )
    save_weights(tmp_path / "g.safetensors", GraphCmr(config), {})
    assert load_graphcmr(tmp_path / "g.safetensors").config == config


def test_the_same_weights_give_the_same_digest(saved, tmp_path):
    _, network, digest = saved
    assert save_weights(tmp_path / "again.safetensors", network, {"another": "card"}) == digest
    with torch.no_grad():
        network.decoder.layers[0].bias[0] += 1
    assert save_weights(tmp_path / "other.safetensors", network, CARD) != digest


def test_loaded_networks_can_be_trained_on(saved):
    network = load_geometry(saved[0]).train()
    network(*inputs()).sum().backward()
    assert network.decoder.layers[0].weight.grad is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_loading_onto_a_device(saved):
    assert next(load_geometry(saved[0], device="cuda").parameters()).is_cuda


def test_wrong_kind_is_refused(saved):
    with pytest.raises(WeightsError, match=r"lite_geometry.*geometry weights, texture weights are needed"):
        load_texture(saved[0])


def test_missing_file_is_refused(tmp_path):
    for read in (load_geometry, weights_digest, read_card):
        with pytest.raises(WeightsError, match=r"nothing\.safetensors.*no such file"):
            read(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 200, 0.5, 0.999])
def test_truncated_files_are_refused(saved, keep):
    path = saved[0]
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsError, match="damaged"):
        load_geometry(path)


def test_a_header_of_absurd_length_is_refused(saved):
    path = saved[0]
    path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(WeightsError, match="damaged"):
        load_geometry(path)


def test_a_flipped_bit_is_refused(saved):
    path = saved[0]
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="checksum"):
        load_geometry(path)


def test_an_edited_configuration_is_refused(saved):
    path = saved[0]
    tensors, metadata = _contents(path)
    config = json.loads(metadata["config"])
    config["camera"]["variant"] = "released"
    save_file(tensors, str(path), metadata=metadata | {"config": json.dumps(config)})
    with pytest.raises(WeightsError, match="checksum"):
        load_geometry(path)


def _resigned(path, tensors, metadata):
    """A file whose checksum is right although its content is not."""
    digest = weights._digest(metadata["kind"], metadata["config"], tensors)
    save_file(tensors, str(path), metadata=metadata | {"sha256": digest})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("decoder.layers.0.bias"), "1 missing"),
        (lambda t: t.update(surprise=torch.zeros(1)), "1 too many"),
        (lambda t: t.update({"decoder.layers.0.bias": torch.zeros(3).half()}), r"is \(3,\)"),
        (lambda t: t.update({"decoder.layers.0.bias": torch.zeros(24, dtype=torch.int64)}), "asks for"),
    ],
    ids=["missing", "extra", "shape", "type"],
)
def test_tensors_that_do_not_fit_are_refused(saved, change, reason):
    path = saved[0]
    tensors, metadata = _contents(path)
    change(tensors)
    _resigned(path, tensors, metadata)
    with pytest.raises(WeightsError, match=reason):
        load_geometry(path)


def test_an_unusable_configuration_is_refused_without_building_it(saved):
    path = saved[0]
    tensors, metadata = _contents(path)
    config = json.loads(metadata["config"])
    config["decoder"]["hidden"] = [10**12, 4]
    _resigned(path, tensors, metadata | {"config": json.dumps(config)})
    with pytest.raises(WeightsError, match=r"lite_geometry.*decoder"):
        load_geometry(path)


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100_000], ids=["list", "broken", "deep"])
def test_an_unreadable_configuration_is_refused(saved, text):
    path = saved[0]
    tensors, metadata = _contents(path)
    _resigned(path, tensors, metadata | {"config": text})
    with pytest.raises(WeightsError, match="config"):
        load_geometry(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "something else"}, "not written by this project"),
        ({"version": "99"}, "version is 99"),
        ({"kind": None}, "lacks kind"),
    ],
)
def test_foreign_files_are_refused(saved, change, reason):
    path = saved[0]
    tensors, metadata = _contents(path)
    metadata = {key: value for key, value in (metadata | change).items() if value is not None}
    save_file(tensors, str(path), metadata=metadata)
    with pytest.raises(WeightsError, match=reason):
        load_geometry(path)


def test_a_file_without_metadata_is_refused(tmp_path):
    path = tmp_path / "plain.safetensors"
    save_file({"a": torch.zeros(2)}, str(path))
    with pytest.raises(WeightsError, match="not written by this project"):
        load_geometry(path)


def test_too_large_files_are_refused(saved, monkeypatch):
    monkeypatch.setattr(weights, "MAX_BYTES", 1000)
    with pytest.raises(WeightsError, match="more than any network"):
        load_geometry(saved[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_values_that_float16_cannot_hold_are_not_saved(tmp_path, value):
    network = geometry()
    with torch.no_grad():
        network.decoder.layers[0].bias[0] = value
    with pytest.raises(WeightsError, match=r"decoder\.layers\.0\.bias"):
        save_weights(tmp_path / "bad.safetensors", network, {})
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="could not be written"):
        save_weights(tmp_path / "file" / "w.safetensors", geometry(), {})


def test_finding_weights(saved):
    folder = saved[0].parent
    assert find_weights("geometry", "lite", folder) == saved[0]
    with pytest.raises(WeightsError, match=r"lite_texture\.safetensors is missing"):
        find_weights("texture", "lite", folder)
    with pytest.raises(WeightsError, match="huge"):
        find_weights("geometry", "huge", folder)
