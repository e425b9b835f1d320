"""Feature sampling against torch's grid_sample: values and both gradients."""

import pytest
import torch
from torch.nn import functional

from pamir_blender.pamir.feature_sampling import corner_weights, sample_map

SIZES = [(9, 7), (16, 16), (1, 4), (5, 6, 7), (8, 8, 8), (3, 1, 2)]


def _reference(features, coordinates):
    axes = features.ndim - 2
    grid = coordinates.view(*coordinates.shape[:2], *([1] * (axes - 1)), axes)
    sampled = functional.grid_sample(features, grid, align_corners=False, padding_mode="border")
    return sampled.flatten(2).transpose(1, 2)


def _data(size, *, reach=1.3):
    generator = torch.Generator().manual_seed(len(size) * 100 + size[0])
    features = torch.randn(2, 6, *size, generator=generator)
    coordinates = (torch.rand(2, 80, len(size), generator=generator) * 2 - 1) * reach
    return features, coordinates


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_values(size):
    features, coordinates = _data(size)
    torch.testing.assert_close(
        sample_map(features, coordinates), _reference(features, coordinates), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gradients_of_maps_and_points(size):
    features, coordinates = _data(size)
    weight = torch.randn(2, 80, 6)
    gradients = []
    for sampler in (sample_map, _reference):
        f, c = features.clone().requires_grad_(True), coordinates.clone().requires_grad_(True)
        (sampler(f, c) * weight).sum().backward()
        gradients.append((f.grad, c.grad))
    torch.testing.assert_close(gradients[0][0], gradients[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients[0][1], gradients[1][1], rtol=1e-4, atol=1e-4)


def test_cell_centres_give_the_cells():
    features = torch.arange(12.0).view(1, 1, 3, 4)
    y, x = torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij")
    centres = torch.stack([(x + 0.5) / 4, (y + 0.5) / 3], dim=-1).view(1, 12, 2) * 2 - 1
    torch.testing.assert_close(sample_map(features, centres).flatten(), torch.arange(12.0))


def test_outside_the_border_repeats_it_without_gradient():
    features = torch.rand(1, 3, 4, 5)
    points = torch.tensor([[[1.5, -2.0]]], requires_grad=True)
    sampled = sample_map(features, points)
    torch.testing.assert_close(sampled[0, 0], features[0, :, 0, -1])
    sampled.sum().backward()
    assert not points.grad.any()


def test_half_precision_maps_are_sampled_in_float32():
    features, coordinates = _data((9, 7))
    sampled = sample_map(features.bfloat16(), coordinates)
    assert sampled.dtype == torch.float32
    torch.testing.assert_close(sampled, sample_map(features.bfloat16().float(), coordinates))


def test_channels_last_maps_give_the_same():
    features, coordinates = _data((9, 7))
    turned = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(sample_map(turned, coordinates), sample_map(features, coordinates))


@pytest.mark.parametrize("size", [(9, 7), (5, 6, 7)], ids=str)
def test_quadratic_weights_sum_to_one(size):
    _, coordinates = _data(size)
    index, weight = corner_weights(coordinates, size, "quadratic")
    assert weight.shape == index.shape == (160, 3 ** len(size))
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(160))
    assert weight.min() >= 0


def test_quadratic_interpolation_keeps_linear_functions():
    cells = torch.arange(8.0)
    features = (2 * cells - 3 * cells[:, None] + 1).view(1, 1, 8, 8)
    points = torch.rand(1, 30, 2) - 0.5  # away from the border, where cells repeat
    at = ((points + 1) * 8 - 1) / 2
    expected = 2 * at[..., 0] - 3 * at[..., 1] + 1
    torch.testing.assert_close(sample_map(features, points, "quadratic")[..., 0], expected)


def test_quadratic_gradients_have_no_jumps():
    torch.manual_seed(0)
    features = torch.randn(1, 1, 8, 8)

    def slope(x, interpolation):
        points = torch.tensor([[[x, 0.1]]], requires_grad=True)
        sample_map(features, points, interpolation).sum().backward()
        return points.grad[0, 0, 0].item()

    jumps = {}
    for interpolation in ("linear", "quadratic"):
        # Cell centres and cell borders: where either could have its jumps.
        places = [k / 8 for k in range(-5, 6)]
        jumps[interpolation] = max(
            abs(slope(x + 1e-4, interpolation) - slope(x - 1e-4, interpolation)) for x in places
        )
    assert jumps["linear"] > 1
    assert jumps["quadratic"] < 0.05
