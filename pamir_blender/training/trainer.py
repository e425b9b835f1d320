"""The training loop: the same for geometry and texture, interrupted and resumed at will."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..pamir.devices import choose_device
from .averaging import WeightAverage
from .batches import Batch, mirror, to_device
from .loader import BatchLoader, EpochData
from .parallel import Group
from .precision import choose_precision, use_channels_last
from .schedule import Budget, learning_rate

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
CHECK_STEPS = 50
"""Steps on a GPU between two looks at whether gradients are finite; each look waits for the GPU."""


class Task(Protocol):
    """What is trained: a network, its loss, its validation and its export.

    ``augment`` changes a training batch on the CPU, perhaps in a loader process: it must be picklable.
    """

    network: nn.Module
    augment: Callable[[Batch], Batch]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of one batch by name; ``"total"`` is the one to make small."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores of ``network`` on held-out views."""

    def export(self, network: nn.Module, progress: dict[str, Any]) -> None:
        """Write ``network`` where the product loads it from."""


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; see :func:`choose_device` and :func:`choose_precision` for their "auto"."""

    out: Path
    budget: Budget
    batch_size: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    average: float = 0.998
    gradient_limit: float = 1.0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    workers: int = 1
    mirror: bool = True
    log_seconds: float = 20.0
    checkpoint_seconds: float = 180.0
    validate_seconds: float = 480.0


class Trainer:
    """Trains ``task``; :meth:`run` resumes from ``options.out`` if it holds a checkpoint.

    ``open_data`` is asked for the data set at every epoch, so that one still being made is used as it grows.
    """

    def __init__(
        self,
        task: Task,
        open_data: Callable[[], EpochData],
        options: TrainingOptions,
        group: Group | None = None,
    ) -> None:
        self.task, self.options = task, options
        self.group = group or Group()
        self.device = choose_device(options.device)
        self.precision = choose_precision(options.precision, self.device)
        torch.manual_seed(options.seed)
        self.network = use_channels_last(task.network.to(self.device))
        self.average = WeightAverage(self.network, options.average)
        decay = [p for p in self.network.parameters() if p.requires_grad and p.dim() > 1]
        plain = [p for p in self.network.parameters() if p.requires_grad and p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=options.learning_rate,
        )
        self.loader = BatchLoader(
            open_data,
            task.augment,
            batch_size=options.batch_size,
            seed=options.seed,
            workers=options.workers,
            pin=self.device.type == "cuda",
            group=self.group,
        )
        # The shapes stay the same, so looking for the fastest convolutions pays.
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        self._broken = torch.zeros((), dtype=torch.bool, device=self.device)
        self.step = self.samples = 0
        self.elapsed = self.fraction = 0.0
        self.scores: dict[str, float] = {}
        options.out.mkdir(parents=True, exist_ok=True)

    def run(self) -> dict[str, float]:
        """Train to the end of the budget; returns the last validation's scores."""
        resumed = self.resume()
        torch.manual_seed(self.options.seed + 7919 * (self.step * self.group.size + self.group.rank))
        self._note("start", resumed=resumed, device=str(self.device), precision=str(self.precision))
        start = time.monotonic() - self.elapsed
        since = {"log": self.elapsed, "checkpoint": self.elapsed, "validation": self.elapsed}
        sums: dict[str, Tensor] = {}
        counted, logged = 0, self.samples
        for batch in self.loader:
            self.fraction = self.group.agree(self.options.budget.fraction(self.step, self.elapsed))
            if self.fraction >= 1.0:
                break
            for key, value in self._train_step(batch).items():
                sums[key] = sums[key] + value if key in sums else value
            counted += 1
            self.elapsed = time.monotonic() - start
            if not self.group.leads:
                continue
            if self.elapsed - since["log"] >= self.options.log_seconds:
                rate = (self.samples - logged) / (self.elapsed - since["log"])
                means = {key: float(value) / counted for key, value in sums.items()}
                self._note("train", rate=rate, lr=self._rate(), **means)
                sums, counted, logged, since["log"] = {}, 0, self.samples, self.elapsed
            if self.elapsed - since["checkpoint"] >= self.options.checkpoint_seconds:
                self.save()
                since["checkpoint"] = self.elapsed
            if self.elapsed - since["validation"] >= self.options.validate_seconds:
                self.validate()
                self.elapsed = time.monotonic() - start
                since = dict.fromkeys(since, self.elapsed)
                sums, counted, logged = {}, 0, self.samples
        if not self.group.leads:
            return {}
        self.save()  # before the validation, which may fail
        scores = self.validate()
        self.save()
        return scores

    def validate(self) -> dict[str, float]:
        """Score the averaged weights, note it in the log and redraw the curves."""
        with torch.no_grad():
            scores = self.task.validate(self.average.network)
        self._note("validation", **scores)
        self.scores = scores
        from .curves import draw_curves

        draw_curves(self.options.out / LOG, self.options.out / "curves.png")
        return scores

    def save(self) -> None:
        """Write the checkpoint, replacing the one before in one move, and export the averaged weights."""
        self._refuse_broken()
        state = {
            "step": self.step,
            "samples": self.samples,
            "epoch": self.loader.epoch,
            "elapsed": self.elapsed,
            "network": self.network.state_dict(),
            "average": self.average.state(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "scores": self.scores,
        }
        partial = self.options.out / (CHECKPOINT + ".part")
        torch.save(state, partial)
        partial.replace(self.options.out / CHECKPOINT)
        progress = {"steps": self.step, "samples": self.samples, "hours": round(self.elapsed / 3600, 3)}
        self.task.export(
            self.average.network, {**progress, "seed": self.options.seed, "validation": self.scores}
        )

    def resume(self) -> bool:
        """Take up ``options.out``'s checkpoint, if there is one; says whether there was."""
        path = self.options.out / CHECKPOINT
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.step, self.samples = int(state["step"]), int(state["samples"])
        self.loader.epoch, self.elapsed = int(state["epoch"]), float(state["elapsed"])
        self.network.load_state_dict(state["network"])
        self.average.load(state["average"])
        self.scores = dict(state["scores"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"].cpu())
        return True

    def _rate(self) -> float:
        return learning_rate(self.fraction, self.options.learning_rate)

    def _train_step(self, batch: Batch) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        batch = to_device(batch, self.device)
        if self.options.mirror:
            batch = mirror(batch, (torch.rand(len(batch["image"])) < 0.5).to(self.device))
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            parts = self.task.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        parts["total"].backward()
        self.group.average_gradients(self.network.parameters())
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.options.gradient_limit)
        self._broken |= ~torch.isfinite(norm)
        if self.device.type == "cpu" or self.step % CHECK_STEPS == 0:
            self._refuse_broken()
        self.optimizer.step()
        if self.group.leads:
            self.average.update(self.network)
        self.step += 1
        self.samples += len(batch["image"]) * self.group.size
        return {key: value.detach() for key, value in parts.items()}

    def _refuse_broken(self) -> None:
        """Raise FloatingPointError if a gradient was not finite since the start."""
        if bool(self._broken):
            raise FloatingPointError(
                f"the gradient is not finite at step {self.step}; train with --precision float32"
            )

    def _note(self, kind: str, **values: Any) -> None:
        """Append one line to the log, in the leading process alone."""
        if not self.group.leads:
            return
        line = {"kind": kind, "step": self.step, "samples": self.samples, "seconds": round(self.elapsed, 1)}
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}
        with (self.options.out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps({**line, **rounded}) + "\n")
