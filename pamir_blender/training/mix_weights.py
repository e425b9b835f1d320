"""The mean of two networks: ``python -m pamir_blender.training.mix_weights FIRST SECOND OUT``.

A network that is trained on for long gets better on data like the training's and loses a little of what it
could do elsewhere. The mean of its weights and the earlier ones keeps most of both (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models").
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ..errors import RequestError
from ..pamir.weights import load_geometry, read_card, save_weights, weights_digest
from .command_line import exit_status


def mix(first: torch.nn.Module, second: torch.nn.Module, share: float) -> torch.nn.Module:
    """``second`` with weights ``(1 - share) * first + share * second``, in place.

    Raises :class:`RequestError` for networks of unlike shape or a share outside [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise RequestError(f"the share must be between 0 and 1, not {share:g}")
    one, two = first.state_dict(), second.state_dict()
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in two.items()}:
        raise RequestError("the two networks are not of one shape")
    second.load_state_dict({k: torch.lerp(one[k].float(), two[k].float(), share) for k in two})
    return second


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pamir_blender.training.mix_weights", description=__doc__)
    parser.add_argument("first", type=Path, help="geometry weights")
    parser.add_argument("second", type=Path, help="weights trained on from the first; its card is kept")
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--share", type=float, default=0.5, help="of the second (0.5)")
    options = parser.parse_args(arguments)
    return exit_status("mix_weights", _run, options)


def _run(options: argparse.Namespace) -> None:
    network = mix(load_geometry(options.first), load_geometry(options.second), options.share)
    digests = [weights_digest(path) for path in (options.first, options.second)]
    card = {**read_card(options.second), "mixed": {"of": digests, "share_of_second": options.share}}
    print(save_weights(options.out, network, card))


if __name__ == "__main__":
    sys.exit(main())
