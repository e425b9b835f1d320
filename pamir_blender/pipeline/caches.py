"""What a photo costs once: the person found in it, and the networks' image features.

A small number of photos is kept, the most recently used ones; an artist works on one or two at a time, and a
large photo takes hundreds of megabytes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

from ..contracts import Photo
from ..options import PhotoOptions
from ..photo.frontend import prepare_photo
from .job import Progress

Kept = TypeVar("Kept")


class Recent(Generic[Kept]):
    """The ``size`` most recently used values by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, Kept] = OrderedDict()

    def get(self, key: Hashable) -> Kept | None:
        """The value of ``key``, which counts as used now, or None."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Hashable, value: Kept) -> Kept:
        """Keep ``value``, and let go of the one that was not used for longest."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            self._values.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()


def photo_key(options: PhotoOptions) -> tuple[Hashable, ...]:
    """What says which person of which photo is meant: the files' contents, not their names."""
    mask = _digest(Path(options.mask)) if options.mask else None
    return (_digest(Path(options.photo)), mask, options.person, options.box)


def _digest(path: Path) -> str:
    """SHA-256 of a file, or "" for one that cannot be read: loading it will say why in better words."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


class Photos:
    """Photos with the person found in them."""

    def __init__(self, size: int = 2) -> None:
        self._recent: Recent[Photo] = Recent(size)

    def clear(self) -> None:
        """Forget them all."""
        self._recent.clear()

    def find(
        self,
        key: Hashable,
        options: PhotoOptions,
        progress: Progress,
        cancelled: Callable[[], bool],
    ) -> Photo:
        """The photo that ``options`` mean, whose :func:`photo_key` is ``key``."""
        photo = self._recent.get(key)
        if photo is None:
            photo = prepare_photo(
                Path(options.photo),
                mask_path=Path(options.mask) if options.mask else None,
                person=options.person,
                box=options.box,
                progress=progress,
                cancelled=cancelled,
            )
            self._recent.put(key, photo)
        # The same bytes under another name are the same photo; the report names the file that was asked for.
        return replace(photo, source=options.photo)
