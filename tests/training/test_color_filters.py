import torch
from torch import nn

from pamir_blender.training.color_filters import start_with_opponent_colors


def encode(start):
    """What norm and ReLU let through of a white picture with a reddish and a greenish grey square on it."""
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(4, 16, 7, padding=3, padding_mode="circular"), nn.GroupNorm(8, 16)
    count = start_with_opponent_colors(convolution, norm) if start else 0
    image = torch.ones(1, 4, 32, 32)
    image[0, 3] = 0.0
    for place, color in ((4, (0.45, 0.40, 0.40)), (20, (0.40, 0.45, 0.40))):
        image[0, :3, 8:24, place : place + 8] = torch.tensor(color)[:, None, None]
        image[0, 3, 8:24, place : place + 8] = 1.0
    with torch.no_grad():
        answer = torch.relu(norm(convolution(image)))[0]
    return count, answer[:, 15, 8], answer[:, 15, 24], answer[:, 0, 16]


def test_hue_is_as_large_as_brightness_behind_the_norm():
    _, red, green, _ = encode(start=False)
    random_difference = (red - green).norm() / red.norm()
    count, red, green, white = encode(start=True)
    assert count == 8
    assert (red[:8] - green[:8]).norm() > 0.9 * red[:8].norm()
    assert (red - green).norm() / red.norm() > 3 * random_difference
    assert white[:8].max() < 0.1  # white has no hue


def test_few_groups_are_left_alone():
    convolution, norm = nn.Conv2d(4, 8, 7), nn.GroupNorm(4, 8)
    before = convolution.weight.detach().clone()
    assert start_with_opponent_colors(convolution, norm) == 0
    assert torch.equal(convolution.weight, before)
