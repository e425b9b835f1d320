"""The command line's options and the jobs they mean. Standard library only."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from .. import __version__
from ..errors import PhotoError, RequestError
from .runner import ReconstructJob

BAD_INPUT = 2
"""Exit code for input or options that cannot be used."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (--help lists the options)\n")


def build_parser(
    prog: str = "python -m pamir_blender", *, in_blender: bool = False
) -> argparse.ArgumentParser:
    """The parser. ``in_blender`` leaves out the commands that need torch in the same process."""
    parser = _Parser(prog=prog, description="One photo of a person to a rigged, textured, clothed character.")
    parser.add_argument("--version", action="version", version=f"pamir_blender {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_reconstruct(commands.add_parser("reconstruct", help="turn one photo into a folder of results"))
    check = commands.add_parser("check", help="report the device, the versions and the models")
    _add_device(check)
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    if not in_blender:
        commands.add_parser("parameters", help="print each network's number of parameters")
        commands.add_parser("bench", help="measure the stages; --help for its own options", add_help=False)
    return parser


def _add_reconstruct(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="a photo of a whole person")
    add("--out", metavar="DIR", help="folder of the results, which appears whole or not at all (out/PHOTO)")
    add("--mask", metavar="M", help="an image of the person's silhouette, instead of a detected one")
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--person", type=int, metavar="N", help="of several people, the N-th most prominent, from 1"
    )
    who.add_argument(
        "--box",
        type=float,
        nargs=4,
        metavar=("X0", "Y0", "X1", "Y1"),
        help="the person's place in photo pixels",
    )
    add("--resolution", type=int, default=256, metavar="R", help="cells along the box: 64 to 512 (256)")
    _add_device(parser)
    add("--size", choices=("lite", "paper"), default="lite", help="size of the networks (lite)")
    add("--body-model", metavar="FILE", help="a licensed SMPL file (.npz or .pkl) instead of the open body")
    add("--weights", metavar="DIR", help="folder of network weights instead of the shipped ones")
    add("--seed", type=int, default=0, metavar="S", help="same seed, same machine, same mesh (0)")
    add("--no-texture", dest="texture", action="store_false", help="leave the colours out")
    add("--texture-size", type=int, default=2048, metavar="PIXELS", help="side of the texture (2048)")
    add("--faces", type=int, default=60_000, metavar="F", help="triangles of the rigged mesh at most (60000)")
    add("--json", action="store_true", help="print result.json, and nothing else, on standard output")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (auto)"
    )


def options_from_args(args: argparse.Namespace) -> ReconstructJob:
    """The job that parsed ``reconstruct`` arguments mean, with what can be checked at once checked.

    Raises :class:`PhotoError` or :class:`RequestError` for files that are not there or an output folder that
    holds something else.
    """
    photo = Path(args.photo).absolute()
    if not photo.is_file():
        raise PhotoError(f"There is no photo at {photo}.")
    for name, path in (("mask", args.mask), ("body model", args.body_model)):
        if path is not None and not Path(path).is_file():
            raise RequestError(f"There is no {name} file at {Path(path).absolute()}.")
    if args.weights is not None and not Path(args.weights).is_dir():
        raise RequestError(f"There is no weights folder at {Path(args.weights).absolute()}.")
    out = Path(args.out or Path("out") / photo.stem).absolute()
    if out.is_dir() and any(out.iterdir()) and not (out / "result.json").is_file():
        raise RequestError(f"{out} holds other files. Choose a new or empty folder with --out.")
    if out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file. Choose a folder with --out.")
    options = {
        "photo": str(photo),
        "mask": _absolute(args.mask),
        "person": args.person,
        "box": tuple(args.box) if args.box else None,
        "resolution": args.resolution,
        "size": args.size,
        "body_model": _absolute(args.body_model),
        "weights": _absolute(args.weights),
        "seed": args.seed,
        "texture": args.texture,
        "texture_size": args.texture_size,
        "faces": args.faces,
    }
    return ReconstructJob(options, out, args.device)


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).absolute())
