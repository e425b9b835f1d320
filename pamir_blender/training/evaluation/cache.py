"""What was measured already, one small file a row, so that an interrupted evaluation goes on."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from ...paths import models_dir

_PACKAGE = Path(__file__).parents[2]
_NO_MATTER = ("addon", "cli", "worker")
"""Parts of the package that change no score."""


@cache
def program_digest() -> str:
    """A hash of this program and the models it finds bodies with: any row may depend on any of it."""
    whole = hashlib.sha256()
    sources = (
        path for path in _PACKAGE.rglob("*.py") if path.relative_to(_PACKAGE).parts[0] not in _NO_MATTER
    )
    # Networks that are measured are named by their own hashes; these find people and bodies.
    finders = (path for kind in ("*.npz", "*.tflite", "landmark_*") for path in models_dir().glob(kind))
    for path in [*sorted(sources), *sorted({path for path in finders if path.suffix != ".md"})]:
        whole.update(path.name.encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


class RowCache:
    """Rows in ``folder`` by the hash of what they depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def key(**parts: Any) -> str:
        """The name of a row that depends on ``parts`` (JSON values) and on this program as it is now."""
        text = json.dumps({"program": program_digest(), **parts}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def get(self, key: str) -> dict[str, Any] | None:
        """A row, or None where there is none or the file is damaged (it is measured again then)."""
        try:
            row = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return row if isinstance(row, dict) else None

    def put(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row; the file appears whole or not at all."""
        part = self.folder / f"{key}.part"
        part.write_text(json.dumps(row, allow_nan=False), encoding="utf-8")
        part.replace(self.folder / f"{key}.json")

    def picture(self, key: str) -> Path:
        """Where the picture that goes with a row is kept."""
        return self.folder / f"{key}.png"
