"""Where the package finds its own read-only files, in a source tree and inside the installed extension."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
"""The folder of this package: ``pamir_blender`` in a source tree, the extension's root when installed."""


def package_root() -> Path:
    """The folder to put on ``sys.path`` so that ``import pamir_blender`` finds this very package."""
    return PACKAGE.parent


def models_dir() -> Path:
    """The folder of the body model, the network weights and their cards.

    The installed extension carries it inside the package; a source tree has it beside the package.
    The folder is not checked to exist: whoever opens a file in it reports what is missing.
    """
    inside = PACKAGE / "models"
    return inside if inside.is_dir() else PACKAGE.parent / "models"
