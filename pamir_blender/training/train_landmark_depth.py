"""Train what puts the detector's depths right: ``python -m pamir_blender.training.train_landmark_depth``.

Every picture of the data is given to the photo front end; where it finds the person, its 33 landmarks and
where they truly are make one example, kept in ``landmarks.npz`` beside the data, so that an interrupted or
repeated run detects nothing twice. A small network learns what the depths of the one lack of the other's.
Whole posed subjects (``--held-out``) can be left out of training for the printed errors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional

from ..body.confidence import landmark_positions
from ..body.landmark_depth import (
    COUNT,
    DEPTH_FILE,
    DEPTH_FORMAT,
    FEATURES,
    LandmarkDepth,
    describe,
    load_landmark_depth,
    mirrored,
    standardised,
)
from ..body.landmarks import LANDMARK_FILE, LandmarkModel, load_landmark_model
from ..body.model import BodyModel
from ..contracts import LANDMARK_MIRROR, Landmarks
from ..errors import AssetsError, PhotoError, RequestError
from ..paths import models_dir
from ..photo.frontend import prepare_photo
from .body_parameters import unpack_parameters
from .command_line import exit_status
from .jobs import pinned_body
from .parallel import each_in_processes, end_with_parent
from .storage import read_arrays, read_json, write_arrays

CACHE = "landmarks.npz"
SAVE_EVERY = 200
LOST = 0.2
"""Metres in the picture's plane; where half of the landmarks are farther off, the person was lost."""

Examples = dict[str, np.ndarray]
"""``name`` (N,), ``key`` (N,) a hash of what each depends on, ``found`` (N,) bool, ``image`` (N, 33, 2) crop
pixels, ``world`` and ``true`` (N, 33, 3) metres about the hips' middle, ``visibility`` and ``spread`` (N,
33)."""

_WIDTH, _DROPOUT, _DECAY = 256, 0.2, 0.01
_NOISE = 0.1  # of a feature's own spread: the detector's answers to like pictures differ by as much
_ROLL = 0.12  # radians: cameras are not held level
_UNIT = 0.1  # metres for an output of one, so that the layers' values stay near one
_LIMBS = [*range(11, 17), *range(23, 29)]  # shoulders to wrists, hips to ankles

_worker: tuple[Path, BodyModel, LandmarkModel] | None = None


def _start(folder: Path) -> None:
    global _worker
    end_with_parent()
    torch.set_num_threads(1)
    model = pinned_body(folder)
    _worker = folder, model, load_landmark_model(model, depth=None)


def _detect(name: str) -> Examples:
    """The example of one view; ``found`` is False where the front end refuses the picture."""
    if _worker is None:
        raise RuntimeError("_detect runs in a worker process")
    folder, model, landmarks = _worker
    path = folder / "views" / f"{name}.npz"
    body = unpack_parameters(read_arrays(path, ("parameters",))["parameters"][0], "open")
    true = landmark_positions(model, landmarks, body)
    empty = np.zeros((COUNT, 3), np.float32)
    row: Examples = {
        "name": np.array(name), "key": np.array(_key(path)), "found": np.array(False), "image": empty[:, :2],
        "world": empty, "visibility": empty[:, 0], "spread": empty[:, 0],
        "true": (true - true[23:25].mean(axis=0)).astype(np.float32),
    }  # fmt: skip
    try:
        seen = prepare_photo(path.with_suffix(".png")).landmarks
    except PhotoError:
        return row
    spread = empty[:, 0] if seen.spread is None else seen.spread
    return row | {
        "found": np.array(True), "image": seen.image, "world": seen.world, "visibility": seen.visibility,
        "spread": spread,
    }  # fmt: skip


@cache
def _finders() -> bytes:
    """A hash of what finds landmarks in pictures, and of where they are on a body."""
    files = [LANDMARK_FILE, *sorted(models_dir().glob("*.tflite"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).digest()


def _key(path: Path) -> str:
    """What the example of a view's file depends on, as a hash: picture, body, detector."""
    whole = hashlib.sha256(_finders())
    for file in (path, path.with_suffix(".png")):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:24]


def find_landmarks(folder: Path, workers: int, limit: int = 0) -> Examples:
    """The examples of ``limit`` views (0 = all) of the data in ``folder``; what is missing is detected.

    Raises AssetsError for a folder without views, or a damaged one.
    """
    names = [view["name"] for view in read_json(folder / "data.json")["views"]]
    order = np.random.default_rng(0).permutation(len(names))[: limit or None]
    wanted = {_key(folder / "views" / f"{names[index]}.npz"): names[index] for index in order}
    if not wanted:
        raise AssetsError(f"There are no views in {folder}. Run make_data first.")
    cache_file = folder / CACHE
    known = read_arrays(cache_file) if cache_file.is_file() else {}
    there = set(known["key"].tolist()) if known else set()
    waiting = [name for key, name in wanted.items() if key not in there]
    rows, start = [], time.monotonic()
    fresh = each_in_processes(_detect, waiting, workers, _start, (folder,)) if waiting else ()
    for row in fresh:
        rows.append(row)
        if len(rows) % SAVE_EVERY == 0 or len(rows) == len(waiting):
            write_arrays(cache_file, _joined(known, rows))
            minutes = (time.monotonic() - start) / 60
            print(f"{len(rows)}/{len(waiting)} pictures  {minutes:.1f} min", flush=True)
    everything = _joined(known, rows)
    # Pictures that were made again since they were looked at have other keys.
    chosen = np.flatnonzero(everything["found"] & np.isin(everything["key"], list(wanted)))
    # Processes answer in any order; the same seed shall see the same examples.
    chosen = chosen[np.argsort(everything["name"][chosen])]
    return {key: values[chosen] for key, values in everything.items()}


def _joined(known: Examples, rows: Sequence[Examples]) -> Examples:
    fresh = {key: np.stack([row[key] for row in rows]) for key in rows[0]} if rows else {}
    if not (known and fresh):
        return known or fresh
    return {key: np.concatenate([known[key], fresh[key]]) for key in fresh}


def as_landmarks(examples: Examples, index: int) -> Landmarks:
    """The detector's answer of one example."""
    visibility = examples["visibility"][index]
    spread = examples["spread"][index]
    return Landmarks(
        examples["image"][index], visibility, examples["world"][index], visibility, visibility, spread
    )


def prepare(examples: Examples, landmarks: LandmarkModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (K, 231), calibrated metres (K, 33, 3), and what their depths lack (K, 33).

    Of those that the detector did not lose: where its metres are far off in the picture's plane, too, it saw
    something else.
    """
    plane = np.linalg.norm((examples["world"] - examples["true"])[..., :2], axis=2)
    rows = np.flatnonzero(np.median(plane, axis=1) < LOST)
    world = np.stack([landmarks.upright(examples["world"][index]) for index in rows])
    answers = (as_landmarks(examples, index) for index in rows)
    features = np.stack([describe(*pair) for pair in zip(answers, world, strict=True)])
    return features, world, examples["true"][rows, :, 2] - world[..., 2]


def train(
    features: np.ndarray, lacking: np.ndarray, *, steps: int, seed: int, batch: int = 128, rate: float = 2e-3
) -> LandmarkDepth:
    """A network from features (N, 231) to ``lacking`` (N, 33) metres, by Huber's loss.

    Examples are mirrored, turned in the picture's plane, and disturbed.
    """
    torch.manual_seed(seed)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    network = nn.Sequential(
        nn.Linear(FEATURES, _WIDTH), nn.SiLU(), nn.Dropout(_DROPOUT),
        nn.Linear(_WIDTH, _WIDTH), nn.SiLU(), nn.Dropout(_DROPOUT),
        nn.Linear(_WIDTH, COUNT),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    both = np.stack([features, mirrored(features)])
    goals = np.stack([lacking, lacking[:, LANDMARK_MIRROR]])
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        side, chosen = rng.integers(2, size=batch), rng.integers(len(features), size=batch)
        x = standardised(_rolled(rng, both[side, chosen]), mean, scale)
        x += rng.normal(0, _NOISE, x.shape)
        loss = functional.huber_loss(network(_tensor(x)), _tensor(goals[side, chosen] / _UNIT), delta=0.5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    linear = [module for module in network if isinstance(module, nn.Linear)]
    layers = [[part.detach().double().numpy() for part in (each.weight, each.bias)] for each in linear]
    layers[-1] = [part * _UNIT for part in layers[-1]]
    return LandmarkDepth(mean, scale, tuple((weight, bias) for weight, bias in layers))


def _rolled(rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
    """Features (N, 231) as if the camera had been turned a little about its axis; depths do not change."""
    turned = features.copy()
    angle = rng.normal(0, _ROLL, len(features))[:, None]
    cosine, sine = np.cos(angle), np.sin(angle)
    for start, stride in ((0, 2), (2 * COUNT, 3)):
        x = slice(start, start + COUNT * stride, stride)
        y = slice(start + 1, start + COUNT * stride, stride)
        turned[:, x] = cosine * features[:, x] - sine * features[:, y]
        turned[:, y] = sine * features[:, x] + cosine * features[:, y]
    return turned


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def depth_error(examples: Examples, landmarks: LandmarkModel, network: LandmarkDepth | None) -> float:
    """Mean distance in depth of shoulders, elbows, wrists, hips, knees and ankles from the truth, cm."""
    errors = []
    for index in range(len(examples["name"])):
        world = landmarks.upright(examples["world"][index])
        moved = network(as_landmarks(examples, index), world) if network is not None else 0.0
        errors.append(np.abs(world[:, 2] + moved - examples["true"][index, :, 2])[_LIMBS].mean())
    return float(np.mean(errors) * 100)


def save(path: Path, network: LandmarkDepth, card: dict) -> None:
    """Write the network in float16, whole or not at all; raises RequestError where that is not possible."""
    values = {"mean": network.mean, "scale": network.scale}
    for number, (weight, bias) in enumerate(network.layers):
        values |= {f"weight{number}": weight, f"bias{number}": bias}
    stored = {name: np.ascontiguousarray(value.astype(np.float16)) for name, value in values.items()}
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(stored, str(part), {"format": DEPTH_FORMAT, "card": json.dumps(card, sort_keys=True)})
        part.chmod(0o644)  # safetensors writes private files
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise RequestError(f"The network could not be written to {path}: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pamir_blender.training.train_landmark_depth", description=__doc__
    )
    parser.add_argument("--data", type=Path, nargs="+", default=[Path("data/train")])
    parser.add_argument("--val", type=Path, help="data to print errors on, beside the held-out part")
    parser.add_argument("--out", type=Path, default=DEPTH_FILE)
    parser.add_argument("--limit", type=int, default=0, help="N pictures of each folder (0 = all)")
    parser.add_argument("--held-out", type=float, default=0.0, help="share of posed subjects not trained on")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    return exit_status("train_landmark_depth", _run, options)


def _run(options: argparse.Namespace) -> None:
    landmarks = load_landmark_model(pinned_body(options.data[0]), depth=None)
    parts = [find_landmarks(folder, options.workers, options.limit) for folder in options.data]
    examples = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    subjects = np.array([name.rsplit("_", 1)[0] for name in examples["name"].tolist()])
    names = np.unique(subjects)
    apart = np.random.default_rng(options.seed).random(len(names)) < options.held_out
    held = np.isin(subjects, names[apart])
    if (~held).sum() < 20:
        raise RequestError("The front end found too few people in these pictures to learn from.")
    val = find_landmarks(options.val, options.workers) if options.val else None
    trained, kept = ({k: v[chosen] for k, v in examples.items()} for chosen in (~held, held))
    features, _, lacking = prepare(trained, landmarks)
    network = train(features, lacking, steps=options.steps, seed=options.seed)
    sets = {"trained on": trained, "held out": kept}
    if val is not None:
        sets["val"] = val
    scores = {}
    for name, part in sets.items():
        if len(part["name"]):
            scores[name] = [depth_error(part, landmarks, each) for each in (None, network)]
            print(f"{name}: {len(part['name'])} pictures, depth error {scores[name][0]:.2f} cm, "
                  f"put right {scores[name][1]:.2f} cm")  # fmt: skip
    card = {
        "pictures": int((~held).sum()),
        "folders": [folder.name for folder in options.data],
        "steps": options.steps,
        "seed": options.seed,
        "depth_cm": scores,
    }
    save(options.out, network, card)
    load_landmark_depth(options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
