"""A field that is asked in the mirror, too: sides that cannot matter do not."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_networks
import torch

from pamir_blender.camera import CropWindow
from pamir_blender.contracts import Landmarks, Photo
from pamir_blender.pamir import networks as module
from pamir_blender.pamir.config import GeometryConfig
from pamir_blender.pamir.geometry import GeometryNetwork
from pamir_blender.pamir.networks import FieldNetworks, asks_mirror, load_networks

CPU = torch.device("cpu")


def photo(mirror=False):
    """A picture of noise and its mask, or their mirror image."""
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 255, (512, 512, 3), dtype=np.uint8)
    mask = (rng.random((512, 512)) > 0.5).astype(np.float32)
    if mirror:
        crop, mask = crop[:, ::-1].copy(), mask[:, ::-1].copy()
    unseen = np.zeros(33, np.float32)
    flat, deep = np.zeros((33, 2), np.float32), np.zeros((33, 3), np.float32)
    landmarks = Landmarks(flat, unseen, deep, unseen, unseen)
    window = CropWindow(1.0, (0.0, 0.0))
    return Photo("noise", "", crop, mask, (0.0, 0.0, 512.0, 512.0), window, crop, mask, landmarks, "file")


@pytest.fixture(scope="module")
def network():
    config = tiny_networks.geometry_config()
    config = replace(
        config, volume=replace(config.volume, channels=1), image=replace(config.image, image_channels=4)
    )
    return tiny_networks.randomise(GeometryNetwork(config)).eval()


@pytest.fixture(scope="module")
def volume():
    return torch.rand(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def points():
    return torch.rand(200, 3, generator=torch.Generator().manual_seed(2)) - 0.5


FLIP = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(autouse=True)
def all_unsure(monkeypatch):
    """The tiny network's logits are large; here every point is asked twice unless a test says otherwise."""
    monkeypatch.setattr(module, "SURE", float("inf"))


def test_the_mean_of_both_logits_counts(network, volume, points):
    both = FieldNetworks(network, None, CPU, mirrored=True)
    once = FieldNetworks(network, None, CPU)
    straight = once.occupancy(once.encode_shape(photo(), volume))(points)
    seen = once.occupancy(once.encode_shape(photo(mirror=True), volume.flip(-1)))(points * FLIP)
    assert (straight - seen).abs().max() > 0.01
    expected = torch.sigmoid((torch.logit(straight) + torch.logit(seen)) / 2)
    torch.testing.assert_close(both.occupancy(both.encode_shape(photo(), volume))(points), expected)


def test_a_mirrored_person_has_the_mirrored_field(network, volume, points):
    both = FieldNetworks(network, None, CPU, mirrored=True)
    left = both.occupancy(both.encode_shape(photo(), volume))(points)
    right = both.occupancy(both.encode_shape(photo(mirror=True), volume.flip(-1)))(points * FLIP)
    torch.testing.assert_close(left, right)


def test_another_body_pays_for_no_picture(network, volume, points, monkeypatch):
    both = FieldNetworks(network, None, CPU, mirrored=True)
    first = both.encode_shape(photo(), volume)
    expected = both.occupancy(both.encode_shape(photo(), volume.flip(2)))(points)
    monkeypatch.setattr(module, "network_image", lambda *_: pytest.fail("the picture was read again"))
    again = both.encode_shape(photo(), volume.flip(2), maps=first.image_maps)
    torch.testing.assert_close(both.occupancy(again)(points), expected)


def test_a_quick_look_leaves_the_mirror_out_and_takes_nothing_from_later(network, volume, points):
    both, once = FieldNetworks(network, None, CPU, mirrored=True), FieldNetworks(network, None, CPU)
    quick, full = both.encode_shape(photo(), volume, mirror=False), both.encode_shape(photo(), volume)
    assert quick.mirrored is None
    straight = once.occupancy(once.encode_shape(photo(), volume))(points)
    torch.testing.assert_close(both.occupancy(quick)(points), straight)
    later = both.encode_shape(photo(), volume, maps=quick.image_maps)
    torch.testing.assert_close(both.occupancy(later)(points), both.occupancy(full)(points))
    kept = quick.image_maps.and_those_of(full.image_maps)
    assert kept.mirrored is full.image_maps.mirrored and kept.geometry is quick.image_maps.geometry


def test_a_semantic_volume_is_refused():
    with pytest.raises(ValueError, match="one channel"):
        FieldNetworks(tiny_networks.geometry(), None, CPU, mirrored=True)


def test_lite_is_asked_in_a_mirror_and_the_published_network_is_not():
    assert load_networks("lite", None, CPU, texture=False).mirrored
    assert not asks_mirror(GeometryConfig.paper())
    assert not asks_mirror(GeometryConfig.paper(volume_channels=1))
    assert not asks_mirror(GeometryConfig.lite(volume_channels=3))


def test_points_that_are_sure_are_asked_once(network, volume, points, monkeypatch):
    both = FieldNetworks(network, None, CPU, mirrored=True)
    features = both.encode_shape(photo(), volume)
    expected = both.occupancy(features)(points)
    straight = torch.logit(FieldNetworks(network, None, CPU).occupancy(features_without(features))(points))
    limit = float(straight.abs().sort().values[99:101].mean())  # between the two in the middle
    mean = torch.logit(expected)
    asked = []
    real = module.query_logits
    monkeypatch.setattr(
        module, "query_logits", lambda f, p: (asked.append((f is features.mirrored, len(p))), real(f, p))[1]
    )
    monkeypatch.setattr(module, "SURE", limit)
    found = both.occupancy(features)(points)
    assert asked[0] == (False, len(points))
    assert asked[1][0] and 0 < asked[1][1] < len(points)
    share = (limit - straight.abs()).clamp(0, 1)
    assert ((share > 0) & (share < 1)).any() and (share == 0).any() and (share == 1).any()
    torch.testing.assert_close(torch.logit(found), straight + share * (mean - straight), atol=1e-3, rtol=1e-3)


def features_without(features):
    """The same field, not asked in the mirror."""
    return replace(features, mirrored=None)
