"""Opening files that a stranger may have put there: only plain ones, and not longer than they may be.

A named pipe would be waited for without end, a device read without end, and a link could lead a result that
somebody sent to a file of the reader's own. Standard library only.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def why_not_plain(path: Path, limit: int | None = None) -> str:
    """Why ``path`` is no plain file of at most ``limit`` bytes, as the end of a sentence; "" if it is one.

    Links are refused, wherever they lead; the folders above may be links. Raises :class:`FileNotFoundError`
    if there is nothing, and other :class:`OSError` if it cannot be looked at.
    """
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return "is a link to another file"
    if stat.S_ISDIR(found.st_mode):
        return "is a folder"
    if not stat.S_ISREG(found.st_mode):
        return "is no file but a pipe or a device"
    if limit is not None and found.st_size > limit:
        return f"has {found.st_size} bytes, which is far too large"
    return ""
