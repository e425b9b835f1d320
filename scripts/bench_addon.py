"""How long Blender waits for the add-on: to register it, and each time its panels draw.

Run by a Python that has bpy: ``python scripts/bench_addon.py``. A window also pays for Blender's own widgets;
here the panels draw into a layout that takes every call and does nothing, which is the add-on's share.
Medians over fresh processes (register) and repeated drawing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Layout:
    """Takes every layout call and attribute."""

    def __getattr__(self, name: str) -> object:
        return self._part

    def _part(self, *_: object, **__: object) -> Layout:
        return self

    def panel(self, *_: object, **__: object) -> tuple[Layout, Layout]:
        """An open panel in a panel."""
        return self, self


class Panel:
    """A panel whose own ``_draw...`` helpers work on that layout."""

    def __init__(self, cls: type) -> None:
        self.layout = Layout()
        for base in reversed(cls.__mro__):
            for name, value in vars(base).items():
                if name.startswith("_draw"):
                    setattr(self, name, value.__get__(self))


def measure(draws: int) -> dict[str, Any]:
    """Register once and draw often, in this process. Milliseconds."""
    os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="pamir-bench-")
    sys.path.insert(0, str(ROOT))
    import bpy

    began = time.perf_counter()
    import pamir_blender

    pamir_blender.register()
    register = time.perf_counter() - began
    from pamir_blender.addon import panels, preferences
    from pamir_blender.addon.backend.places import Found

    def draw() -> float:
        began = time.perf_counter()
        for cls in panels.CLASSES:
            cls.draw(Panel(cls), bpy.context)
        return time.perf_counter() - began

    bpy.context.scene.pamir.photo_path = str(ROOT / "examples" / "person.png")
    with_backend = statistics.median(draw() for _ in range(draws))
    preferences.default_backend = lambda: Found("")
    first_run = statistics.median(draw() for _ in range(draws))
    began = time.perf_counter()
    pamir_blender.unregister()
    milliseconds = {
        "register": register,
        "draw, backend known": with_backend,
        "draw, first-run card": first_run,
        "unregister": time.perf_counter() - began,
    }
    return {"blender": bpy.app.version_string, "ms": {k: 1000 * v for k, v in milliseconds.items()}}


def _run_one(draws: int, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", "--draws", str(draws)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.strip().split("\n")[-1])


def main() -> int:
    """Print a line for each measured time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="fresh processes")
    parser.add_argument("--draws", type=int, default=500, help="drawings in each")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print("\n" + json.dumps(measure(arguments.draws)), flush=True)
        os._exit(0)  # Blender as a module may crash when the interpreter ends
    with tempfile.TemporaryDirectory(prefix="pamir-bench-") as cache:
        # A cache of compiled modules of our own: the first run fills it, as the first start does.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        results = [_run_one(arguments.draws, environment) for _ in range(arguments.runs + 1)]
    first, *results = results
    print(f"Blender {first['blender']}, medians of {arguments.runs} runs")
    print(f"  {'register, first time':22} {first['ms']['register']:8.2f} ms")
    for name in first["ms"]:
        print(f"  {name:22} {statistics.median(r['ms'][name] for r in results):8.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
