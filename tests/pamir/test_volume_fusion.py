"""Photo and body together in three dimensions."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_networks import geometry, inputs, randomise
from torch import nn

from pamir_blender.errors import WeightsError
from pamir_blender.pamir.config import CameraConfig, GeometryConfig
from pamir_blender.pamir.feature_sampling import project_points
from pamir_blender.pamir.volume_fusion import VolumeFusion


def fused(**changes):
    return geometry(fusion=(8, 12), **changes)


def laid_into_volume(fusion, volume, image):
    """What the first convolution of ``fusion`` reads."""
    seen = []
    handle = fusion.down[0].register_forward_hook(lambda module, given, out: seen.append(given[0]))
    fusion(volume, image)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("place", [(-0.3, 0.2, 0.4), (0.45, -0.45, -0.1), (0.01, 0.4, 0.0)])
def test_a_pixel_lies_in_the_voxels_that_it_shows(place):
    fusion = VolumeFusion(4, 1, 4, (8, 8), 2)
    with torch.no_grad():
        fusion.image.weight.fill_(1 / 16)
        fusion.image.bias.zero_()
        image = torch.zeros(1, 1, 32, 32)
        x, y = ((project_points(torch.tensor(place), CameraConfig()) + 1) * 16).long().tolist()
        image[0, 0, y, x] = 1.0
        seen = laid_into_volume(fusion, torch.randn(1, 4, 8, 8, 8), image)[0, 4]
    column = [int((value + 0.5) * 8) for value in place]
    for depth in seen:
        assert torch.nonzero(depth == depth.max()).tolist() == [[column[1], column[0]]]


def test_the_volume_itself_goes_in_unchanged():
    volume = torch.randn(2, 4, 8, 8, 8)
    seen = laid_into_volume(VolumeFusion(4, 3, 1, (8,), 2), volume, torch.randn(2, 3, 8, 8))
    assert torch.equal(seen[:, :4], volume)


def test_a_new_one_changes_nothing_and_a_trained_one_does():
    fusion = VolumeFusion(8, 3, 2, (8, 16), 4)
    volume, image = torch.randn(1, 8, 8, 8, 8), torch.randn(1, 3, 16, 16)
    assert torch.equal(fusion(volume, image), volume)
    nn.init.normal_(fusion.out.weight)
    assert not torch.allclose(fusion(volume, image), volume)


def test_what_hangs_low_can_depend_on_what_is_high_up_in_body_and_in_photo():
    fusion = randomise(VolumeFusion(4, 3, 1, (8, 8, 8), 2))
    for norm in (m for m in fusion.modules() if isinstance(m, nn.GroupNorm)):
        norm.forward = lambda x: x  # group norm alone carries everything everywhere
    volume, image = torch.zeros(1, 4, 16, 16, 16), torch.zeros(1, 3, 16, 16)
    body, photo = volume.clone(), image.clone()
    body[..., 14:, :] = 1.0  # y runs up
    photo[..., :2, :] = 1.0  # rows run down
    plain = fusion(volume, image)
    for changed in (fusion(body, image), fusion(volume, photo)):
        assert (changed - plain)[..., :2, :].abs().max() > 1e-5


def test_gradients_reach_every_parameter_the_photo_and_the_body():
    fusion = randomise(VolumeFusion(8, 3, 2, (8, 16), 4))
    volume = torch.randn(1, 8, 8, 8, 8, requires_grad=True)
    image = torch.randn(1, 3, 16, 16, requires_grad=True)
    fusion(volume, image).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in fusion.parameters())
    assert volume.grad.any() and image.grad.any()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_the_fast_path_gives_what_the_plain_one_gives(dtype, tolerance):
    network = fused()
    image, volume, points = inputs()
    plain = network(image, volume, points)[0].detach()
    torch.testing.assert_close(
        network.query(network.prepare(image, volume, dtype=dtype), points[0]), plain, rtol=0, atol=tolerance
    )
    assert plain.std() > 0.01


def test_the_photos_map_is_enough_for_another_body():
    network = fused()
    image, volume, points = inputs()
    first, other = network.prepare(image, volume), volume.flip(2)
    again = network.prepare(None, other, image_map=first.image_maps[0])
    fresh = network.prepare(image, other)
    torch.testing.assert_close(network.query(again, points[0]), network.query(fresh, points[0]))


def test_another_photo_changes_the_volume():
    network = fused()
    image, volume, _ = inputs()
    maps = [network.encode_image(picture) for picture in (image, image.flip(-1))]
    first, second = (network.encode_volume(volume, m)[-1] for m in maps)
    assert not torch.allclose(first, second)
    with pytest.raises(ValueError, match="image"):
        network.encode_volume(volume)


def test_only_the_last_training_stage_is_fused():
    network = fused().train()
    image, volume, _ = inputs()
    together = network.encode_volume(volume, network.encode_image(image))
    alone = network.volume_encoder(volume)
    assert torch.equal(together[0], alone[0]) and torch.equal(together[1], alone[1])
    assert not torch.allclose(together[2], alone[2])


def test_configs_of_before_the_fusion_entry_have_none():
    values = GeometryConfig.lite().to_dict()
    assert GeometryConfig.from_dict(json.loads(json.dumps(values))).fusion
    del values["fusion"]
    assert GeometryConfig.from_dict(values).fusion == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"fusion": (48, 50)},
        {"fusion": (8,) * 7},
        {"fusion": (8,) * 6},
        {"fusion": (8, -8)},
        {"fusion": (4096,)},
        {"camera": CameraConfig(variant="released")},
        {"image": replace(GeometryConfig.lite().image, image_size=160)},
    ],
)
def test_fusions_that_cannot_be_are_refused(changes):
    config = replace(GeometryConfig.lite(), **changes)
    with pytest.raises(WeightsError, match=r"fusion|weak perspective"):
        GeometryConfig.from_dict(config.to_dict())
