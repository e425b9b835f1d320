"""The command line: ``python -m pamir_blender`` here, ``blender --command pamir`` inside Blender.

Both parse and report alike; they differ in the :class:`Runner` that does the work: the pipeline in this very
process, or Blender's worker. Importing this package takes the standard library only.

Exit codes: 0 done, 2 bad input (one line on standard error says what and why, nothing is left behind),
130 stopped by the user, 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from ..errors import Cancelled, PamirError
from .arguments import BAD_INPUT, build_parser, options_from_args
from .runner import Job, LocalRunner, OnProgress, Runner, backend_module, evaluation_module
from .terminal import ProgressLine, own_stdout, plain_lines, stop_signals

__all__ = ["Job", "OnProgress", "Runner", "build_parser", "main", "options_from_args"]

OK, FAILED, STOPPED = 0, 1, 130
_BACKEND_KINDS = ("backend", "memory", "error")  # failures that no other photo or option would avoid


def main(
    argv: Sequence[str] | None = None,
    *,
    runner: Runner | None = None,
    prog: str = "python -m pamir_blender",
) -> int:
    """Run one command and return its exit code. A ``runner`` of the caller's own means: inside Blender."""
    argv = list(sys.argv[1:] if argv is None else argv)
    in_blender = runner is not None
    try:
        if argv[:1] == ["bench"] and not in_blender:
            return backend_module("bench").main(argv[1:]) or OK  # it has options of its own
        if argv[:1] == ["evaluate"] and not in_blender:
            return evaluation_module().main(argv[1:]) or OK
        args = build_parser(prog, in_blender=in_blender).parse_args(argv)
        with own_stdout() as stdout, stop_signals() as stopped:
            _run(args, runner or LocalRunner(), stdout, stopped)
    except SystemExit as stop:  # --help, --version or a mistake, said already
        return stop.code if isinstance(stop.code, int) else OK
    except Cancelled:
        print(f"{prog}: stopped; nothing was kept", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        return STOPPED
    except PamirError as error:
        print(f"{prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED if error.kind in _BACKEND_KINDS else BAD_INPUT
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        name = type(error).__name__
        print(f"{prog}: unexpected {name}, please report it with the lines above", file=sys.stderr)
        return FAILED
    return OK


def _run(args: argparse.Namespace, runner: Runner, stdout: TextIO, stopped: threading.Event) -> None:
    if args.command in ("reconstruct", "regenerate"):
        _reconstruct(args, runner, stdout, stopped)
    elif args.command == "suggest":
        _suggest(args, runner, stdout, stopped)
    elif args.command == "check":
        _check(args, runner, stdout)
    else:
        stdout.write(backend_module("pamir.parameter_table").format_parameter_table() + "\n")


def _finish_job(args: argparse.Namespace, runner: Runner, stopped: threading.Event) -> Path:
    job = options_from_args(args)
    began = time.monotonic()
    progress = ProgressLine(quiet=args.json)
    try:
        folder = runner.run(job, progress, stopped.is_set)
    finally:
        progress.end()
    if not args.json:
        print(f"done in {time.monotonic() - began:.1f} s", file=sys.stderr)
    return Path(folder)


def _reconstruct(args: argparse.Namespace, runner: Runner, stdout: TextIO, stopped: threading.Event) -> None:
    folder = _finish_job(args, runner, stopped)
    text = (folder / "result.json").read_text(encoding="utf-8")
    if args.json:
        stdout.write(text)
        return
    result = json.loads(text)
    for warning in result.get("photo", {}).get("warnings", ()):
        print(f"note: {warning}", file=sys.stderr)
    optimised = result.get("optimisation")
    if optimised:
        print(f"note: body optimisation: {optimised['reason']}", file=sys.stderr)
    overlap = result.get("silhouette_iou")
    if overlap is not None:
        print(f"silhouette IoU {overlap:.3f}", file=sys.stderr)
    stdout.write(f"{folder}\n")


def _suggest(args: argparse.Namespace, runner: Runner, stdout: TextIO, stopped: threading.Event) -> None:
    folder = _finish_job(args, runner, stopped)
    text = (folder / "suggestions.json").read_text(encoding="utf-8")
    if args.json:
        stdout.write(text)
        return
    found = json.loads(text)
    print(f"energy now {found['energy_now']:.4f}", file=sys.stderr)
    for entry in found["suggestions"]:
        stdout.write(f"{folder / entry['folder']}\t{entry['energy']:.4f}\t{entry['label']}\n")
    if not found["suggestions"]:
        print(f"no suggestions: {found['reason']}", file=sys.stderr)


def _check(args: argparse.Namespace, runner: Runner, stdout: TextIO) -> None:
    report = runner.check(args.device)
    if args.json:
        json.dump(report, stdout, indent=1, default=str)
        stdout.write("\n")
        return
    for line in plain_lines(report):
        stdout.write(line + "\n")
