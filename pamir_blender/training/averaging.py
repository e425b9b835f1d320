"""The running average of a network's weights, which is what gets exported."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of ``network``'s parameters and buffers.

    The average ramps up: after n updates it forgets with min(``decay``, (1 + n) / (10 + n)), so that the
    random start is gone after some dozens of steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the current weights of ``network`` in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, values = self.network.state_dict(), network.state_dict()
        floating = [key for key, value in values.items() if value.is_floating_point()]
        torch._foreach_lerp_([averages[k] for k in floating], [values[k] for k in floating], 1.0 - decay)
        for key in values.keys() - set(floating):
            averages[key].copy_(values[key])

    def state(self) -> dict[str, Tensor | int | dict[str, Tensor]]:
        """What a checkpoint keeps."""
        return {"updates": self.updates, "network": self.network.state_dict()}

    def load(self, state: dict) -> None:
        """Take up a state that :meth:`state` gave."""
        self.updates = int(state["updates"])
        self.network.load_state_dict(state["network"])
