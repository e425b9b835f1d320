"""The paper's networks: counts, shapes, gradients, projection, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_networks import geometry, geometry_config, inputs, randomise, texture, texture_config
from torch import nn

from pamir_blender.errors import WeightsError
from pamir_blender.pamir.blocks import HourglassResidual, PlainResidual, count_parameters, is_idle
from pamir_blender.pamir.config import CameraConfig, GeometryConfig, TextureConfig, VolumeEncoderConfig
from pamir_blender.pamir.decoder import Decoder
from pamir_blender.pamir.feature_sampling import project_points
from pamir_blender.pamir.geometry import GeometryNetwork
from pamir_blender.pamir.image_encoder import ImageEncoder
from pamir_blender.pamir.parameter_table import format_parameter_table, parameter_table
from pamir_blender.pamir.texture import TextureNetwork, blend_with_photo
from pamir_blender.pamir.texture_encoder import TextureEncoder
from pamir_blender.pamir.volume_encoder import VolumeContext, VolumeEncoder

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def table():
    return parameter_table()


def test_parameter_counts_of_the_paper(table):
    counts = {(row.network, row.part): row.parameters for row in table}
    assert counts["geometry paper", "all"] == 27_225_105 == 25_641_792 + 340_176 + 1_243_137
    assert counts["geometry paper", "image_encoder"] == 25_641_792
    assert counts["geometry paper", "volume_encoder"] == 340_176
    assert counts["geometry paper", "decoder"] == 1_243_137
    assert counts["texture paper, 6-channel volume", "all"] == 13_088_268
    assert counts["texture paper", "all"] == 13_085_268
    assert counts["graphcmr paper", "all"] == 46_874_690
    assert counts["graphcmr released", "all"] == 42_668_098


def test_published_counts_stand_beside_ours(table):
    rows = [row for row in table if row.published is not None]
    assert len(rows) == 10
    assert all(row.parameters == row.published for row in rows)
    assert "27,225,105   27,225,105" in format_parameter_table(table)


def test_idle_parameters_are_those_that_inference_never_reads():
    with torch.device("meta"):
        network = GeometryNetwork(GeometryConfig.paper())
    heads = sum(p.numel() for p in network.volume_encoder.heads.parameters())
    assert count_parameters(network, used_only=True) - heads == 27_086_513


def test_lite_is_small_enough_for_a_laptop():
    with torch.device("meta"):
        assert 4e6 < count_parameters(GeometryNetwork(GeometryConfig.lite())) < 6e6
        assert count_parameters(TextureNetwork(TextureConfig.lite())) < 1e6


def test_paper_strides_and_channels():
    config = GeometryConfig.paper()
    with torch.no_grad():
        # A smaller picture and volume than the paper's, so that the test is quick.
        maps = ImageEncoder(config.image)(torch.rand(1, 3, 64, 64))
        volumes = VolumeEncoder(config.volume)(torch.rand(1, 3, 16, 16, 16))
        colours = TextureEncoder(TextureConfig.paper().image)(torch.rand(1, 3, 16, 16))
    assert [tuple(m.shape) for m in maps] == [(1, 256, 16, 16)] * 4
    assert [tuple(v.shape) for v in volumes] == [(1, 32, 4, 4, 4)] * 3
    assert tuple(colours.shape) == (1, 256, 4, 4)
    assert config.image.feature_size == 128


def test_lite_shapes_end_to_end():
    config = GeometryConfig.lite()
    network, colours = GeometryNetwork(config).eval(), TextureNetwork(TextureConfig.lite()).eval()
    image = torch.rand(1, config.image.image_channels, config.image.image_size, config.image.image_size)
    volume, points = torch.rand(1, config.volume.channels, 128, 128, 128), torch.rand(1, 10, 3) - 0.5
    with torch.no_grad():
        maps = network.encode_image(image)
        volumes = network.encode_volume(volume, maps)
        occupancy = network.decode(maps, volumes, points)
        rgba = colours(image, volume, points, maps)
    assert [tuple(m.shape) for m in maps] == [(1, 32, 128, 128)]
    assert [tuple(v.shape) for v in volumes] == [(1, 32, 32, 32, 32)]
    assert occupancy.shape == (1, 10)
    assert rgba.shape == (1, 10, 4)
    assert rgba.min() >= 0 and rgba.max() <= 1


@pytest.mark.parametrize("device", DEVICES)
def test_geometry_values_and_shapes(device):
    network = geometry().to(device)
    image, volume, points = (x.to(device) for x in inputs(batch=2))
    maps = network.encode_image(image)
    assert [tuple(m.shape) for m in maps] == [(2, 12, 16, 16)] * 2
    occupancy = network(image, volume, points)
    assert occupancy.shape == (2, 50)
    assert occupancy.min() >= 0 and occupancy.max() <= 1
    logits = network.decode(maps, network.encode_volume(volume), points, logits=True)
    torch.testing.assert_close(torch.sigmoid(logits), occupancy)


def test_samples_of_a_batch_do_not_mix():
    network = geometry()
    image, volume, points = inputs(batch=2)
    together = network(image, volume, points)
    alone = network(image[1:], volume[1:], points[1:])
    torch.testing.assert_close(together[1:], alone)


def test_training_stages_are_paired_from_the_end():
    network = geometry(stacks=4).train()
    image, volume, points = inputs()
    maps, volumes = network.encode_image(image), network.encode_volume(volume)
    assert (len(maps), len(volumes)) == (4, 3)
    stages = network.decode_stages(maps, volumes, points)
    assert len(stages) == 3
    torch.testing.assert_close(stages[0], network.decode(maps[1], volumes[0], points))
    torch.testing.assert_close(stages[-1], network.decode(maps, volumes, points))
    assert len(network.eval().encode_volume(volume)) == 1


def test_gradients_reach_every_used_parameter_and_the_points():
    network = geometry().train()
    image, volume, points = inputs()
    points.requires_grad_(True)
    maps, volumes = network.encode_image(image), network.encode_volume(volume)
    stages = network.decode_stages(maps, volumes, points, logits=True)
    sum(stage.sum() for stage in stages).backward()
    untouched = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    # Two image stacks meet the last two of three volume stages: the first head has no partner here.
    assert untouched == {n for n, _ in network.named_parameters() if is_idle(n) or ".heads.0." in n}
    assert points.grad.abs().sum() > 0


def test_texture_gradients_spare_the_frozen_geometry_features():
    network, source = texture().train(), geometry()
    image, volume, points = inputs()
    maps = source.encode_image(image)
    network.decode(
        network.encode_image(image, maps), network.encode_volume(volume), points, logits=True
    ).sum().backward()
    untouched = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert untouched == {n for n, _ in network.named_parameters() if is_idle(n) or ".heads." in n}
    assert all(p.grad is None for p in source.parameters())


def test_texture_reads_the_geometry_features_only_if_configured():
    image, volume, points = inputs()
    maps = geometry().encode_image(image)
    reads = texture()
    changed = reads(image, volume, points, [m + 1 for m in maps])
    assert not torch.allclose(changed, reads(image, volume, points, maps))
    with pytest.raises(ValueError, match="geometry"):
        reads(image, volume, points)
    with pytest.raises(ValueError, match="channels"):
        reads(image, volume, points, torch.rand(1, 5, 16, 16))
    alone = texture(geometry_channels=0)
    assert alone(image, volume, points).shape == (1, 50, 4)


def test_every_norm_has_the_configured_groups():
    with torch.device("meta"):
        paper = GeometryNetwork(GeometryConfig.paper())
        colours = TextureNetwork(TextureConfig.paper())
    norms = [m for m in paper.modules() if isinstance(m, nn.GroupNorm)]
    assert {m.num_groups for m in norms} == {4}
    assert {m.num_groups for m in colours.image_encoder.modules() if isinstance(m, nn.GroupNorm)} == {32}
    assert not any(isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d) for m in paper.modules())


def test_idle_layers_change_no_result():
    network = texture()
    image, volume, points = inputs()
    maps = geometry().encode_image(image)
    before = network(image, volume, points, maps)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if is_idle(name):
                value.fill_(1e6)
    torch.testing.assert_close(network(image, volume, points, maps), before, rtol=0, atol=0)


def test_residuals_are_residual():
    block = PlainResidual(8, 4, dimensions=3)
    nn.init.zeros_(block.norm2.weight)
    x = torch.rand(1, 8, 4, 4, 4)
    torch.testing.assert_close(block(x), x)
    hourglass = HourglassResidual(8, 8, 4)
    nn.init.zeros_(hourglass.conv2.weight)
    nn.init.zeros_(hourglass.conv2.bias)
    x = torch.rand(1, 8, 4, 4)
    torch.testing.assert_close(hourglass(x), x)


def test_decoder_puts_the_input_before_the_hidden_vector():
    config = texture_config().decoder
    decoder = randomise(Decoder(5, 2, config))
    x = torch.rand(7, 5)
    w = [layer.weight for layer in decoder.layers]
    b = [layer.bias for layer in decoder.layers]
    y = nn.functional.leaky_relu(x @ w[0].T + b[0], 0.2)
    for i in (1, 2, 3):
        y = nn.functional.leaky_relu(torch.cat([x, y], 1) @ w[i].T + b[i], 0.2)
    torch.testing.assert_close(decoder(x), y @ w[4].T + b[4])
    assert [layer.in_features for layer in decoder.layers] == [5, 29, 21, 17, 8]


@pytest.mark.parametrize(
    "stem", [((5, 2, 2, 4), (5, 2, 2, 8)), ((4, 4, 1, 8),), ((2, 2, 1, 4), (3, 2, 1, 4), (3, 1, 1, 8))]
)
def test_volume_stems_shrink_by_exactly_four(stem):
    config = VolumeEncoderConfig(resolution=16, channels=1, stem=stem, blocks=0, block_middle=8)
    assert VolumeEncoder(config)(torch.rand(1, 1, 16, 16, 16))[-1].shape == (1, 8, 4, 4, 4)


def test_weak_perspective_projection_ignores_depth():
    points = torch.tensor([[0.5, 0.5, 0.0], [-0.25, -0.5, 0.4]])
    expected = torch.tensor([[1.0, -1.0], [-0.5, 1.0]])
    torch.testing.assert_close(project_points(points, CameraConfig()), expected)


def test_released_projection_is_perspective():
    points = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.5]])
    projected = project_points(points, CameraConfig(variant="released"))
    expected = torch.tensor([[0.5, -0.5], [0.5 * 10 / 9.5, -0.5 * 10 / 9.5]]) * 1.953125
    torch.testing.assert_close(projected, expected)


def test_released_variant_changes_the_field():
    image, volume, points = inputs()
    assert not torch.allclose(
        geometry()(image, volume, points), geometry(variant="released")(image, volume, points)
    )


def test_equation_13():
    rgba = torch.tensor([[0.2, 0.4, 0.6, 0.0], [0.2, 0.4, 0.6, 1.0], [0.2, 0.4, 0.6, 0.25]])
    photo = torch.tensor([[1.0, 0.0, 0.0]]).expand(3, 3)
    expected = torch.tensor([[0.2, 0.4, 0.6], [1.0, 0.0, 0.0], [0.4, 0.3, 0.45]])
    torch.testing.assert_close(blend_with_photo(rgba, photo), expected)


@pytest.mark.parametrize(
    "config",
    [
        GeometryConfig.paper(),
        GeometryConfig.lite(),
        TextureConfig.paper(variant="released"),
        TextureConfig.lite(),
    ],
)
def test_configs_survive_json(config):
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_configs_of_before_the_interpolation_entry_are_linear():
    values = GeometryConfig.lite().to_dict()
    del values["volume"]["interpolation"]
    assert GeometryConfig.from_dict(values).volume.interpolation == "linear"


def test_configs_of_before_the_context_entry_have_none():
    values = GeometryConfig.lite().to_dict()
    del values["volume"]["context"]
    assert GeometryConfig.from_dict(values).volume.context == ()


def test_context_sees_a_limb_that_the_stem_does_not():
    """A voxel at one end of the box, features at the other."""
    plain = VolumeEncoderConfig(
        resolution=64, channels=1, stem=((4, 4, 1, 16), (3, 1, 1, 16)), blocks=0, idle_layers=False
    )
    empty = torch.zeros(1, 1, 64, 64, 64)
    limb = empty.clone()
    limb[..., 8:16, 8:16, 8:16] = 1
    reached = []
    for context in ((), (8, 12, 16)):
        torch.manual_seed(0)
        encoder = VolumeEncoder(replace(plain, context=context)).eval()
        for norm in (m for m in encoder.modules() if isinstance(m, nn.GroupNorm)):
            norm.forward = lambda x: x  # group norm alone carries everything everywhere
        if context:
            assert torch.equal(
                encoder.context(torch.randn(1, 16, 16, 16, 16)), torch.zeros(1, 16, 16, 16, 16)
            )
            nn.init.normal_(encoder.context.out.weight)
        change = (encoder(limb)[-1] - encoder(empty)[-1]).abs()
        assert change.shape == (1, 16, 16, 16, 16)
        reached.append(change[..., 10:, 10:, 10:].max().item())
    assert reached[0] == 0 and reached[1] > 1e-4


def test_context_cannot_be_silenced_by_its_biases():
    """It was once: in training they drifted until no ReLU let anything through."""
    context = VolumeContext(16, (8, 12), 4)
    nn.init.normal_(context.out.weight)
    for conv in context.up:
        conv.bias.data.fill_(-20.0)
    with torch.no_grad():
        out = context(torch.randn(1, 16, 16, 16, 16))
    assert out.std(dim=(2, 3, 4)).min() > 0.1


def _with(path, value):
    values = GeometryConfig.lite().to_dict()
    *parents, key = path.split(".")
    target = values
    for parent in parents:
        target = target[parent]
    if value is None:
        del target[key]
    else:
        target[key] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("image.stacks", None, "GeometryConfig.image"),
        ("image.surprise", 1, "surprise"),
        ("image.stacks", "1", "stacks"),
        ("image.stacks", True, "stacks"),
        ("image.level_widths", [16, 10**9], "widths"),
        ("image.level_widths", [16, 18], "norm_groups"),
        ("image.image_channels", 5, "image_channels"),
        ("image.image_size", 100, "image_size"),
        ("volume.stem", [[4, 4, 1]], "stem"),
        ("volume.channels", 1000, "channels"),
        ("volume.context", [32, 10**9], "context"),
        ("volume.context", [8] * 7, "context"),
        ("volume.interpolation", "cubic", "cubic"),
        ("decoder.hidden", [10**9, 4], "decoder"),
        ("camera.variant", "fisheye", "fisheye"),
        ("camera", 3, "camera"),
    ],
)
def test_unusable_configs_are_refused(path, value, named):
    with pytest.raises(WeightsError, match=named):
        GeometryConfig.from_dict(_with(path, value))


def test_one_stack_and_stem_stride_two():
    config = geometry_config(
        stacks=1, stem_stride=2, level_widths=(8, 16, 24), image_size=32, image_channels=4
    )
    config = replace(config, image=replace(config.image, norm_groups=2))
    maps = GeometryNetwork(config).encode_image(torch.rand(1, 4, 32, 32))
    assert [tuple(m.shape) for m in maps] == [(1, 12, 16, 16)]
