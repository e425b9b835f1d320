"""How large a picture says it is, from the first bytes of its file; nothing is decoded.

Standard library only.

Blender decodes a picture whole before anybody can ask for its size, so that a file of some kilobytes could
take all memory. Sources: PNG (ISO/IEC 15948, 5.6 and 11.2.2), JPEG (ITU-T T.81, B.2.2), GIF89a (17, 18),
WebP (RFC 9649, 2.4 to 2.7), BMP (Windows' BITMAPINFOHEADER), TIFF 6.0 (section 2).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

MAX_SHOWN_PIXELS = 60_000_000
"""Blender is not asked to decode a photo of more; the worker takes fewer, too."""

_MAX_SEGMENTS = 1000
_MAX_TAGS = 4096


def picture_size(path: Path) -> tuple[int, int] | None:
    """(width, height) that the file claims, or None: no picture of a kind read here, or a damaged header.

    Raises :class:`OSError` where the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(32)
        try:
            if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
                return struct.unpack(">II", head[16:24])
            if head.startswith(b"\xff\xd8"):
                return _jpeg(file)
            if head[:6] in (b"GIF87a", b"GIF89a"):
                return struct.unpack("<HH", head[6:10])
            if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
                return _webp(head)
            if head[:2] == b"BM":
                width, height = struct.unpack("<ii", head[18:26])
                return width, abs(height)
            if head[:4] in (b"II*\0", b"MM\0*"):
                return _tiff(file, "<" if head[:2] == b"II" else ">")
        except struct.error:  # shorter than its own header
            return None
    return None


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    """The size in the first frame header among a JPEG's segments."""
    file.seek(2)
    for _ in range(_MAX_SEGMENTS):
        marker = file.read(2)
        while marker == b"\xff\xff":  # fill bytes
            marker = b"\xff" + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF:
            return None
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
            _, height, width = struct.unpack(">xxBHH", file.read(7))
            return width, height
        (length,) = struct.unpack(">H", file.read(2))
        file.seek(max(length - 2, 0), 1)
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(file: BinaryIO, order: str) -> tuple[int, int] | None:
    """Tags 256 and 257 of the first directory."""
    file.seek(4)
    file.seek(*struct.unpack(f"{order}I", file.read(4)))
    (count,) = struct.unpack(f"{order}H", file.read(2))
    sides: dict[int, int] = {}
    for _ in range(min(count, _MAX_TAGS)):
        entry = file.read(12)
        tag, kind = struct.unpack(f"{order}HH", entry[:4])
        if tag in (256, 257):
            form = "H" if kind == 3 else "I"
            (sides[tag],) = struct.unpack_from(order + form, entry, 8)
    return (sides[256], sides[257]) if len(sides) == 2 else None


def claims_too_much(path: Path) -> bool:
    """Whether the file is a picture that claims more than :data:`MAX_SHOWN_PIXELS`."""
    size = picture_size(path)
    return size is not None and size[0] * size[1] > MAX_SHOWN_PIXELS
