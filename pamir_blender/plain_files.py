"""Opening files that a stranger may have put there: only plain ones, and not longer than they may be.

A named pipe would be waited for without end, a device read without end, and a link could lead a result that
somebody sent to a file of the reader's own. Standard library only.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_file(path: Path | str) -> bool:
    """Whether a file is there, also behind links. Unlike ``Path.is_file`` it never raises.

    A path that a file names may be too long for the system, or in a folder that may not be looked into.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path | str) -> bool:
    """Whether a folder is there, as for :func:`is_file`."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: Path | str) -> bool:
    """Whether anything is there, as for :func:`is_file`."""
    return os.path.exists(path)  # noqa: PTH110


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
