"""The command line's options and the jobs they mean. Standard library only."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..errors import PhotoError, RequestError
from .runner import Job

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
    _add_regenerate(
        commands.add_parser("regenerate", help="reconstruct a result again, with its body posed anew")
    )
    _add_suggest(commands.add_parser("suggest", help="reconstruct a result's most plausible depth flips"))
    check = commands.add_parser("check", help="report the device, the versions and the models")
    _add_device(check)
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    if not in_blender:
        commands.add_parser("parameters", help="print each network's number of parameters")
        commands.add_parser("bench", help="measure the stages; --help for its own options", add_help=False)
        commands.add_parser(
            "evaluate", help="measure reconstructions; --help for its own options", add_help=False
        )
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
    add(
        "--body-from",
        dest="estimator",
        choices=("landmarks", "graphcmr", "both"),
        default="landmarks",
        help="what finds the body; GraphCMR needs weights of your own in the weights' folder (landmarks)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--optimise",
        type=int,
        default=50,
        metavar="N",
        help="iterations of body reference optimisation at most (50)",
    )
    how.add_argument(
        "--no-optimise",
        dest="optimise",
        action="store_const",
        const=0,
        help="keep the first estimate of the body",
    )
    add("--json", action="store_true", help="print result.json, and nothing else, on standard output")


def _add_regenerate(parser: argparse.ArgumentParser) -> None:
    _add_saved(parser)
    add = parser.add_argument
    add("--pose", metavar="FILE", help='joints to turn, as JSON: {"left_elbow": [x, y, z], ...} in radians')
    add("--betas", type=float, nargs=10, metavar="B", help="the ten shape parameters")
    add(
        "--flip",
        nargs="+",
        choices=("left_arm", "right_arm", "left_leg", "right_leg"),
        default=[],
        metavar="LIMB",
        help="mirror a limb in depth: left_arm, right_arm, left_leg, right_leg",
    )
    add("--yaw", type=float, default=0.0, metavar="DEG", help="turn the whole body about the vertical")
    add("--pitch", type=float, default=0.0, metavar="DEG", help="lean the whole body towards the viewer")
    add(
        "--optimise",
        type=int,
        default=0,
        metavar="N",
        help="then optimise the joints that were not edited (0)",
    )
    add("--preview", action="store_true", help="geometry alone, fast")


def _add_suggest(parser: argparse.ArgumentParser) -> None:
    _add_saved(parser)
    parser.add_argument("--count", type=int, default=3, metavar="N", help="suggestions at most: 1 to 6 (3)")


def _add_saved(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("result", metavar="RESULT_DIR", help="a folder that reconstruct or regenerate has written")
    add(
        "--out", metavar="DIR", required=True, help="folder of the results, which appears whole or not at all"
    )
    add("--photo", metavar="PHOTO", help="where the photo is now, if it was moved")
    add("--resolution", type=int, metavar="R", help="cells along the box (as in RESULT_DIR)")
    _add_device(parser)
    add("--json", action="store_true", help="print the result's JSON, and nothing else, on standard output")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (auto)"
    )


def options_from_args(args: argparse.Namespace) -> Job:
    """The job that parsed arguments mean, with what can be checked at once checked.

    Raises :class:`PhotoError` or :class:`RequestError` for files that are not there or an output folder that
    holds something else, :class:`ResultError` for a RESULT_DIR that is no result.
    """
    options = _reconstruct_options(args) if args.command == "reconstruct" else _saved_options(args)
    _require_files(options)
    out = Path(args.out or Path("out") / Path(options["photo"]).stem).absolute()
    marker = "suggestions.json" if args.command == "suggest" else "result.json"
    if out.is_dir() and any(out.iterdir()) and not (out / marker).is_file():
        raise RequestError(f"{out} holds other files. Choose a new or empty folder with --out.")
    if out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file. Choose a folder with --out.")
    return Job(args.command, options, out, args.device)


def _require_files(options: dict[str, Any]) -> None:
    if not Path(options["photo"]).is_file():
        raise PhotoError(f"There is no photo at {options['photo']}.")
    for name, path in (("mask", options["mask"]), ("body model", options["body_model"])):
        if path is not None and not Path(path).is_file():
            raise RequestError(f"There is no {name} file at {path}.")
    if options["weights"] is not None and not Path(options["weights"]).is_dir():
        raise RequestError(f"There is no weights folder at {options['weights']}.")


def _reconstruct_options(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "photo": _absolute(args.photo),
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
        "optimise": args.optimise,
        "estimator": args.estimator,
    }


def _saved_options(args: argparse.Namespace) -> dict[str, Any]:
    from ..saved import read_pose_file, read_saved  # numpy is not needed for --help

    saved = read_saved(Path(args.result))
    if args.command == "regenerate":
        if args.pose is not None:
            saved = saved.posed(read_pose_file(Path(args.pose)))
        for limb in args.flip:
            saved = saved.flipped(limb)
        if args.yaw or args.pitch:
            saved = saved.turned(args.yaw, args.pitch)
        if args.betas is not None:
            saved = replace(saved, body=replace(saved.body, betas=tuple(args.betas)))
    options = {**saved.options, "body": saved.body, "edited": saved.edited}
    if args.photo is not None:
        options["photo"] = _absolute(args.photo)
    if args.resolution is not None:
        options["resolution"] = args.resolution
    if args.command == "suggest":
        return {**options, "count": args.count}
    return {**options, "optimise": args.optimise, "preview": args.preview}


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).absolute())
