"""Train the networks: ``python -m pamir_blender.training.train both --minutes 80 --out runs``.

``both`` trains geometry for three quarters of the time, then texture on it; ``graphcmr`` trains the network
that estimates bodies, on the same pictures. An interrupted command resumes where it stopped when it is given
again with the same ``--out``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..body.graph_network import GraphCmr, GraphCmrConfig
from ..body.load import load_body_model
from ..body.mesh_graph import body_graph
from ..contracts import JOINT_NAMES
from ..errors import PamirError, RequestError
from ..pamir.config import GeometryConfig, TextureConfig
from ..pamir.geometry import GeometryNetwork
from ..pamir.texture import TextureNetwork
from ..pamir.weights import load_geometry, load_graphcmr, load_texture, weights_digest
from .body_views import BodyViews
from .color_filters import start_with_opponent_colors
from .dataset import ViewDataset
from .geometry_task import GeometryTask
from .graphcmr_task import GraphCmrTask
from .jobs import pinned_body
from .loader import EpochData
from .parallel import Group, run_in_processes
from .schedule import Budget
from .texture_task import TextureTask
from .trainer import Trainer, TrainingOptions
from .variants import VARIANTS
from .widen import with_context, with_fusion

GEOMETRY_SHARE = 0.75
"""Part of the minutes of ``both`` that geometry gets."""

OpenData = Callable[[], EpochData]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pamir_blender.training.train", description=__doc__)
    parser.add_argument("network", choices=("both", "geometry", "texture", "graphcmr"))
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[Path("data/train")], help="folders (default: data/train)"
    )
    parser.add_argument(
        "--val", type=Path, help="validation data folder (default: 'val' beside the first --data)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoint, log, curves and weights"
    )
    parser.add_argument("--export", type=Path, help="weights file (default: OUT/weights.safetensors)")
    parser.add_argument("--init", type=Path, help="start from this weights file instead of random numbers")
    parser.add_argument("--geometry-weights", type=Path, help="the geometry network that texture builds on")
    parser.add_argument("--size", choices=("lite", "paper"), default="lite")
    parser.add_argument(
        "--interpolation",
        choices=("linear", "quadratic"),
        help="of the volume features (default: the size's own)",
    )
    parser.add_argument("--minutes", type=float, help="training time over all resumes")
    parser.add_argument("--steps", type=int, help="optimiser steps, instead of --minutes")
    parser.add_argument("--batch", type=int, default=4, help="views per step and process")
    parser.add_argument("--points", type=int, default=4096, help="points per view")
    parser.add_argument(
        "--bodies",
        choices=("true", "estimated", "mixed"),
        default="mixed",
        help="which bodies condition the views; 'mixed' gives --true-bodies of them the true one",
    )
    parser.add_argument("--true-bodies", type=float, default=0.3, help="share of true bodies in 'mixed'")
    parser.add_argument(
        "--no-depth-shift",
        action="store_true",
        help="leave the points where they truly are when the body is estimated (equations 7 and 8 undone)",
    )
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        default="pamir",
        help="'pifu': the baseline without a body, which reads image features and depth alone",
    )
    parser.add_argument(
        "--loss", choices=("bce", "mse"), default=None, help="default: bce for lite, mse for paper"
    )
    parser.add_argument("--outline", type=float, default=1.0, help="extra weight at the mask's outline")
    parser.add_argument("--loose-cloth", type=float, default=0.3, help="share of views with cloth added")
    parser.add_argument(
        "--head",
        type=float,
        default=4.0,
        help="how much more often texture sees points of the head: small, and its back unlike its front",
    )
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--average", type=float, default=0.998, help="decay of the exported running average")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's)")
    parser.add_argument(
        "--processes", type=int, default=1, help="training processes, which share the threads"
    )
    parser.add_argument("--workers", type=int, default=1, help="loader processes of each training process")
    parser.add_argument("--checkpoint-seconds", type=float, default=180.0)
    parser.add_argument("--validate-seconds", type=float, default=480.0)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 on success, 2 with one line on stderr for unusable input."""
    options = build_parser().parse_args(arguments)
    command = arguments if arguments is not None else sys.argv[1:]
    try:
        for part in _parts(options):
            build_trainer(part, command)  # refuses unusable input here, before any process starts
            run_in_processes(part.processes, train, part, command)
    except (PamirError, ValueError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


def _parts(options: argparse.Namespace) -> list[argparse.Namespace]:
    """The trainings that the options ask for, in order; raises RequestError for options that name a file."""
    if options.network != "both":
        return [options]
    if options.export or options.init or options.geometry_weights:
        raise RequestError(
            "--export, --init and --geometry-weights belong to one network: train geometry, then texture"
        )
    geometry, texture = (argparse.Namespace(**vars(options)) for _ in range(2))
    geometry.network, geometry.out = "geometry", options.out / "geometry"
    texture.network, texture.out = "texture", options.out / "texture"
    texture.geometry_weights = geometry.out / "weights.safetensors"
    if options.minutes:
        geometry.minutes, texture.minutes = (
            GEOMETRY_SHARE * options.minutes,
            (1 - GEOMETRY_SHARE) * options.minutes,
        )
    return [geometry, texture]


def train(group: Group, options: argparse.Namespace, command: list[str]) -> None:
    """One process's part of the training."""
    torch.set_num_threads(max(1, (options.threads or torch.get_num_threads()) // group.size))
    scores = build_trainer(options, command, group).run()
    if group.leads:
        print(scores)


def build_trainer(options: argparse.Namespace, command: list[str], group: Group | None = None) -> Trainer:
    """The trainer that the parsed ``options`` ask for; raises PamirError or ValueError for unusable ones."""
    torch.manual_seed(options.seed)
    card = {
        "command": ["python", "-m", "pamir_blender.training.train", *command],
        "variant": options.variant,
    }
    export = options.export or options.out / "weights.safetensors"
    build = {"geometry": _geometry, "texture": _texture, "graphcmr": _graphcmr}[options.network]
    task, open_data = build(options, {"card": card, "export_path": export})
    open_data()  # refuses unusable data now
    return Trainer(
        task,
        open_data,
        TrainingOptions(
            out=options.out,
            budget=Budget(options.minutes, options.steps),
            batch_size=options.batch,
            learning_rate=options.learning_rate,
            average=options.average,
            seed=options.seed,
            device=options.device,
            precision=options.precision,
            workers=options.workers,
            mirror=options.network != "graphcmr",  # its data set mirrors bodies with their pictures
            checkpoint_seconds=options.checkpoint_seconds,
            validate_seconds=options.validate_seconds,
        ),
        group,
    )


def _geometry(options: argparse.Namespace, common: dict[str, Any]) -> tuple[GeometryTask, OpenData]:
    config = getattr(GeometryConfig, options.size)()
    network = GeometryNetwork(config)
    if options.init:
        network = with_context(load_geometry(options.init), config.volume.context)
        network = with_fusion(network, config.fusion)
    _interpolate(network, options.interpolation)
    _refuse_semantic(network.config.volume.channels)
    size, val = network.config.image.image_size, _validation_folder(options)
    held_out = {
        name: ViewDataset(
            val,
            split="val",
            image_size=size,
            points=8192,
            true_body_share=share,
            variant=options.variant,
            augment=False,
            seed=options.seed,
        )
        for name, share in (("true", 1.0), ("estimated", 0.0))
    }
    task = GeometryTask(
        network,
        held_out=held_out,
        body_faces=load_body_model(val / "body.npz").faces.numpy(),
        loss=options.loss or ("bce" if options.size == "lite" else "mse"),
        outline=options.outline,
        loose_cloth=options.loose_cloth,
        **common,
    )
    return task, partial(
        ViewDataset,
        options.data,
        split="train",
        image_size=size,
        points=options.points,
        seed=options.seed,
        **_conditions(options),
    )


def _texture(options: argparse.Namespace, common: dict[str, Any]) -> tuple[TextureTask, OpenData]:
    if options.geometry_weights is None:
        raise RequestError(
            "texture training needs --geometry-weights FILE: its features build on that network's"
        )
    geometry = load_geometry(options.geometry_weights)
    # By this the product refuses to use the texture network with another geometry network.
    common["card"]["geometry"] = weights_digest(options.geometry_weights)
    config = getattr(TextureConfig, options.size)()
    network = load_texture(options.init) if options.init else TextureNetwork(config)
    if not options.init:
        start_with_opponent_colors(network.image_encoder.conv1, network.image_encoder.norm1)
    _interpolate(network, options.interpolation)
    _refuse_semantic(network.config.volume.channels)
    shared = {"image_size": network.config.image.image_size, "points": 0}
    held_out = ViewDataset(
        _validation_folder(options),
        split="val",
        color_points=8192,
        true_body_share=1.0,
        variant=options.variant,
        augment=False,
        seed=options.seed,
        **shared,
    )
    task = TextureTask(network, geometry, held_out=held_out, **common)
    return task, partial(
        ViewDataset,
        options.data,
        split="train",
        color_points=options.points,
        vertex_emphasis=_head_emphasis(options.data[0], options.head),
        seed=options.seed,
        **shared,
        **_conditions(options),
    )


def _graphcmr(options: argparse.Namespace, common: dict[str, Any]) -> tuple[GraphCmrTask, OpenData]:
    if options.init:
        network = load_graphcmr(options.init).train()
    else:
        network = GraphCmr(getattr(GraphCmrConfig, options.size)())
    model = pinned_body(options.data[0])
    task = GraphCmrTask(
        network,
        model=model,
        graph=body_graph(model, options.out),
        held_out=BodyViews(_validation_folder(options), network.config, split="val", augment=False),
        **common,
    )
    return task, partial(BodyViews, options.data, network.config, split="train", seed=options.seed)


def _head_emphasis(data: Path, factor: float) -> np.ndarray:
    """(V,) ``factor`` at the head's vertices, 1 elsewhere."""
    owner = load_body_model(data / "body.npz").skinning_weights.numpy().argmax(axis=1)
    return np.where(owner == JOINT_NAMES.index("head"), factor, 1.0)


def _conditions(options: argparse.Namespace) -> dict[str, Any]:
    """What a training view is conditioned on, as :class:`ViewDataset` takes it."""
    share = {"true": 1.0, "estimated": 0.0, "mixed": options.true_bodies}[options.bodies]
    return {
        "true_body_share": share,
        "shift_depth": not options.no_depth_shift,
        "variant": options.variant,
    }


def _interpolate(network: GeometryNetwork | TextureNetwork, interpolation: str | None) -> None:
    """Set how volume features are read between their cells; no weight depends on it."""
    if interpolation:
        volume = replace(network.config.volume, interpolation=interpolation)
        network.config = replace(network.config, volume=volume)


def _validation_folder(options: argparse.Namespace) -> Path:
    return options.val or options.data[0].parent / "val"


def _refuse_semantic(channels: int) -> None:
    if channels != 1:
        raise RequestError(
            f"the data sets hold plain occupancy volumes (1 channel), this network wants {channels}; "
            "train one whose volume encoder has one channel"
        )


if __name__ == "__main__":
    sys.exit(main())
