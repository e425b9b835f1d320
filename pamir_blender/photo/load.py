"""An image file to upright 8-bit sRGB and, where the file carries one, alpha.

Files come from strangers: the size is known to be bounded before a single pixel is decoded, decoders
that start other programs are not offered the file, and every failure names the file and a way out.
"""

from __future__ import annotations

import hashlib
import io
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import PhotoError

MAX_PIXELS = 52_000_000
"""Cameras sold as 50 megapixels write up to 51.1 million pixels."""
MAX_BYTES = 512 * 2**20
MIN_SIDE = 32

# EPS is run by Ghostscript, WMF by the system; the others are stubs without a decoder of their own.
REFUSED_FORMATS = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "FPX", "MIC"})
MEANINGFUL_CLEAR = 0.01  # part of the picture that is see-through in an alpha meant as a mask
MEANINGFUL_SOLID = 0.001  # part that is not


@dataclass(frozen=True)
class LoadedImage:
    """A decoded picture.

    ``rgb`` (H, W, 3) uint8 sRGB, upright; ``alpha`` (H, W) uint8, or None if the file has none;
    ``digest`` SHA-256 of the file's bytes, hexadecimal; ``notes`` sentences for the artist.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    digest: str
    notes: tuple[str, ...] = ()

    def alpha_is_meaningful(self) -> bool:
        """Whether the alpha cuts something out, rather than being opaque or clear nearly everywhere."""
        if self.alpha is None:
            return False
        clear = np.count_nonzero(self.alpha < 13) / self.alpha.size
        solid = np.count_nonzero(self.alpha > 127) / self.alpha.size
        return clear >= MEANINGFUL_CLEAR and solid >= MEANINGFUL_SOLID


def load_image(path: Path | str, *, what: str = "photo") -> LoadedImage:
    """Read any image that Pillow decodes; see :class:`LoadedImage`.

    ``what`` names the file's role in messages ("photo", "mask").

    Raises:
        PhotoError: missing, empty, damaged, not an image, too large, or in a format that is not read.
    """
    path = Path(path)
    name = f"The {what} {path}"
    notes: list[str] = []
    if path.exists() and not path.is_file():  # a folder, or a pipe that would never end
        raise PhotoError(f"{name} is not a file. Choose an image file.")
    try:
        with path.open("rb") as stream:
            digest = _checked_digest(stream, name)
            with _quiet(), Image.open(stream, formats=_formats()) as image:
                _check_size(image.size, name)
                rgb, alpha = _decode(image, name, notes)
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError(_unreadable(path, name)) from None
    except Image.DecompressionBombError:
        raise PhotoError(
            f"{name} declares far more than {MAX_PIXELS // 10**6} megapixels. {_SHRINK}"
        ) from None
    except MemoryError:
        raise PhotoError(f"{name} does not fit into memory. {_SHRINK}") from None
    except FileNotFoundError:
        raise PhotoError(f"{name} does not exist. Check the path.") from None
    except PermissionError:
        raise PhotoError(f"{name} may not be read by this user. Check the file's permissions.") from None
    except Exception as error:  # Pillow's decoders raise all kinds on broken files
        raise PhotoError(
            f"{name} is damaged or incomplete ({type(error).__name__}: {error}). Copy or export it again."
        ) from None
    return LoadedImage(rgb, alpha, digest, tuple(notes))


_SHRINK = "Save it smaller; more than 4000 pixels a side adds nothing here."


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in REFUSED_FORMATS]


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow's bomb and metadata warnings repeat what is checked or tolerated here."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        yield


def _checked_digest(stream: BinaryIO, name: str) -> str:
    """SHA-256 of the whole stream, which is rewound; refuses empty and huge files."""
    size = stream.seek(0, io.SEEK_END)
    if size == 0:
        raise PhotoError(f"{name} is empty (0 bytes). Copy or export it again.")
    if size > MAX_BYTES:
        raise PhotoError(
            f"{name} is {size / 2**20:.0f} MiB; the limit is {MAX_BYTES // 2**20} MiB. {_SHRINK}"
        )
    stream.seek(0)
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    return digest


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        megapixels = width * height / 1e6
        raise PhotoError(
            f"{name} has {megapixels:.0f} megapixels ({width} x {height}); the limit is "
            f"{MAX_PIXELS // 10**6}. {_SHRINK}"
        )
    if min(size) < MIN_SIDE:
        raise PhotoError(f"{name} is only {width} x {height} pixels; at least {MIN_SIDE} a side are needed.")


def _unreadable(path: Path, name: str) -> str:
    if path.suffix.lower() in {
        ".heic",
        ".heif",
        ".raw",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".svg",
        ".eps",
    }:
        return f"{name} is in a format that is not read ({path.suffix.lower()}). Save it as JPEG or PNG."
    return f"{name} is not an image that can be read, or its beginning is damaged. Save it as JPEG or PNG."


def _decode(image: Image.Image, name: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels of the first frame, upright: rgb (H, W, 3) uint8 and alpha (H, W) uint8 or None."""
    if getattr(image, "is_animated", False) and image.format != "MPO":  # MPO: a camera's JPEG with previews
        image.seek(0)
        notes.append("The file holds several pictures; the first one was used.")
    image.load()
    _check_size(image.size, name)  # icon formats choose their size only now
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:  # metadata is not worth losing a photo over
        upright = image
        notes.append("The photo's EXIF data is damaged; if it lies on its side, rotate it and save it again.")
    icc = image.info.get("icc_profile")
    upright = _to_8_bit(upright, name)
    if upright.mode in {"PA", "La", "RGBa"} or "transparency" in upright.info:
        upright = upright.convert("LA" if upright.mode == "La" else "RGBA")
    alpha = np.asarray(upright.getchannel("A")) if upright.mode in {"LA", "RGBA"} else None
    colours = upright.convert(upright.mode.rstrip("A")) if alpha is not None else upright
    return np.asarray(_to_srgb(colours, icc, notes)), alpha


def _to_8_bit(image: Image.Image, name: str) -> Image.Image:
    """Single-channel pictures of more than 8 bits to "L"; the rest unchanged."""
    if image.mode not in {"I", "F"} and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.float32)
    if not np.isfinite(values).all():
        raise PhotoError(f"{name} contains values that are not numbers. Save it as an 8- or 16-bit PNG.")
    top = float(values.max())
    if image.mode.startswith("I;16") or 255 < top <= 65535:
        white = 65535.0
    elif image.mode == "F" and top <= 1.0:
        white = 1.0
    else:
        white = max(top, 255.0)
    return Image.fromarray(np.clip(values * (255.0 / white) + 0.5, 0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """Opaque pixels of any mode to RGB in sRGB, through the embedded colour profile if there is one."""
    if image.mode == "LAB":
        return ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    if icc and image.mode in {"RGB", "L", "CMYK"}:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if "srgb" not in ImageCms.getProfileDescription(profile).lower():
                return ImageCms.profileToProfile(
                    image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.append("The photo's colour profile cannot be used; its colours were read as sRGB.")
    return image if image.mode == "RGB" else image.convert("RGB")
