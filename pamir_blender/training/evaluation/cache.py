"""What was measured already, one small file a row, so that an interrupted evaluation goes on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

FORMAT = 1
"""Part of every key: raised when a measure changes its meaning."""


class RowCache:
    """Rows in ``folder`` by the hash of what they depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def key(**parts: Any) -> str:
        """The name of a row that depends on ``parts`` (JSON values) and nothing else."""
        text = json.dumps({"format": FORMAT, **parts}, sort_keys=True)
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
