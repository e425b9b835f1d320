"""A geometry network's level, settled: ``python -m pamir_blender.training.settle_level WEIGHTS DATA OUT``.

Training draws points where they teach most: near the surface, at the outline, before and behind the person.
The share of full ones there is not that of space as it is, so one half of what the network says is not where
empty becomes likelier than full. This moves the last layer's bias, a prior correction of logistic regression
(King and Zeng 2001, "Logistic Regression in Rare Events Data"), until the logits are likeliest for evenly
spread points of pictures that training has not seen. Nothing else changes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from ..errors import RequestError
from ..pamir.geometry import GeometryNetwork
from ..pamir.weights import load_geometry, read_card, save_weights, weights_digest
from .command_line import exit_status
from .dataset import ViewDataset
from .sampling import UNIFORM
from .storage import METRES_STEP, from_counts, read_arrays

SHIFTS = np.linspace(-1.5, 1.5, 61)
"""What is tried: logits."""


def even_points(data: ViewDataset, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) float32, box, evenly spread over the person's bounds in view ``index``, and which of them
    are inside the person (N,) bool."""
    subject = read_arrays(data.folder(index) / "subjects" / f"{data.views[index]['subject']}.npz")
    view = read_arrays(data.view_file(index))
    even = subject["kind"] == UNIFORM
    points = from_counts(subject["points"][even], METRES_STEP) @ (view["rotation"] * float(view["scale"])).T
    inside = np.unpackbits(subject["occupancy"], count=len(even))[even].astype(bool)
    return (points + view["translation"]).astype(np.float32), inside


def answers(network: GeometryNetwork, data: ViewDataset) -> tuple[np.ndarray, np.ndarray]:
    """The logits (N,) of all views' even points, and which are inside (N,) bool."""
    logits, inside = [], []
    with torch.inference_mode():
        for index in range(len(data)):
            sample = data[index]
            points, full = even_points(data, index)
            maps = network.encode_image(sample["image"][None])
            value = network.decode(
                maps,
                network.encode_volume(sample["volume"][None].float(), maps),
                torch.from_numpy(points)[None],
                logits=True,
            )
            logits.append(value[0].double().numpy())
            inside.append(full)
    return np.concatenate(logits), np.concatenate(inside)


def likeliest_shift(logits: np.ndarray, inside: np.ndarray) -> float:
    """The one of :data:`SHIFTS` which, added to ``logits`` (N,), makes ``inside`` (N,) bool likeliest.

    Raises :class:`RequestError` where the best is the first or the last: then it lies beyond.
    """
    sign = np.where(inside, -1.0, 1.0)
    losses = [np.logaddexp(0, sign * (logits + shift)).mean() for shift in SHIFTS]
    best = int(np.argmin(losses))
    if best in (0, len(SHIFTS) - 1):
        raise RequestError("This network is too far off for its level to be settled. Train it on.")
    return float(SHIFTS[best])


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pamir_blender.training.settle_level", description=__doc__
    )
    parser.add_argument("weights", type=Path, help="geometry weights; their card is kept")
    parser.add_argument("data", type=Path, help="a folder of make_data: neither trained on nor val")
    parser.add_argument("out", type=Path, help="file to write")
    options = parser.parse_args(arguments)
    return exit_status("settle_level", _run, options)


def _run(options: argparse.Namespace) -> None:
    network = load_geometry(options.weights)
    size = network.config.image.image_size
    data = ViewDataset(options.data, image_size=size, points=64, true_body_share=1.0, augment=False)
    shift = likeliest_shift(*answers(network, data))
    with torch.no_grad():
        network.decoder.layers[-1].bias += shift
    card = read_card(options.weights)
    card |= {"level": {"of": weights_digest(options.weights), "views": len(data), "shift": round(shift, 3)}}
    print(f"shift {shift:+.2f}: {save_weights(options.out, network, card)}")


if __name__ == "__main__":
    sys.exit(main())
