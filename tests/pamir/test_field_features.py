"""The fast path of inference gives what the plain path gives."""

import pytest
import torch
from tiny_networks import geometry, inputs, texture

from pamir_blender.pamir import field_features
from pamir_blender.pamir.field_features import inference_dtype

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("interpolation", ["linear", "quadratic"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_geometry_fast_path(device, variant, interpolation, dtype, tolerance, monkeypatch):
    monkeypatch.setattr(field_features, "CHUNK", 16)  # 50 points: whole chunks and a rest
    network = geometry(variant=variant, interpolation=interpolation).to(device)
    image, volume, points = inputs()
    plain = network(image.to(device), volume.to(device), points.to(device))[0].cpu()
    fast = network.query(network.prepare(image, volume, dtype=dtype), points[0])
    assert fast.shape == (50,) and fast.dtype == torch.float32 and fast.device == points.device
    torch.testing.assert_close(fast, plain.detach(), rtol=0, atol=tolerance)
    assert plain.std() > 0.01  # the comparison would mean nothing on a constant field


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("geometry_channels", [12, 0])
def test_texture_fast_path(dtype, tolerance, geometry_channels):
    source, network = geometry(), texture(seed=1, geometry_channels=geometry_channels)
    image, volume, points = inputs()
    plain = network(image, volume, points, source.encode_image(image))[0].detach()
    shape = source.prepare(image, volume, dtype=dtype)
    fast = network.query(network.prepare(image, volume, geometry=shape, dtype=dtype), points[0])
    torch.testing.assert_close(fast, plain, rtol=0, atol=tolerance)
    assert plain.std() > 0.01


def test_another_body_reuses_the_photos_features():
    network = geometry()
    image, volume, points = inputs()
    other = volume.flip(2)
    first = network.prepare(image, volume)
    again = network.prepare(None, other, image_map=first.image_maps[0])
    fresh = network.prepare(image, other)
    torch.testing.assert_close(network.query(again, points[0]), network.query(fresh, points[0]))
    assert not torch.allclose(network.query(again, points[0]), network.query(first, points[0]))


def test_frozen_features_still_give_the_points_their_gradient():
    network = geometry()
    image, volume, points = inputs()
    points.requires_grad_(True)
    prepared = network.prepare(image, volume)
    network.decode([prepared.image_maps[0]], network.encode_volume(volume), points).sum().backward()
    assert points.grad.abs().sum() > 0


def test_one_photo_and_one_body_at_a_time():
    network = geometry()
    image, volume, _ = inputs(batch=2)
    with pytest.raises(ValueError, match="one photo"):
        network.prepare(image, volume)
    with pytest.raises(ValueError, match="image"):
        network.prepare(None, volume[:1])


def test_no_points_give_no_values():
    network = geometry()
    image, volume, _ = inputs()
    assert network.query(network.prepare(image, volume), torch.empty(0, 3)).shape == (0,)


def test_the_number_format_follows_the_hardware(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": False})
    assert inference_dtype("cpu") == torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert inference_dtype("cpu") == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert inference_dtype("cuda") == torch.float16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert inference_dtype("cuda") == torch.bfloat16
