"""Coloured triangles of any origin as one mesh with one texture, which the renderer can draw."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from ..rendering import seam_groups, vertex_normals

MAX_VERTICES = 2_000_000
MAX_FACES = 4_000_000
MAX_IMAGE_PIXELS = 67_108_864
"""8192 x 8192; a texture that says it is larger is not decoded."""
MAX_TOTAL_PIXELS = 4 * MAX_IMAGE_PIXELS
"""Of all textures of one file together."""
MAX_PARTS = 2000
MAX_COORDINATE = 1e6
"""A person in micrometres has more, and float32 could not place its vertices."""
TILE_SIDE = 4096
ATLAS_WIDTH = 16_384
_GREY = np.array([190, 190, 190], np.uint8)


@dataclass(frozen=True)
class Part:
    """Triangles of one material.

    ``vertices`` (V, 3) float, ``faces`` (F, 3) int; coloured by ``image`` (H, W, 3) uint8 at ``uv`` (V, 2),
    v down, or by ``colors`` (V, 3) uint8, or grey; ``image_key`` the same for parts that share an image.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray | None = None
    image: np.ndarray | None = None
    colors: np.ndarray | None = None
    image_key: int | None = None


@dataclass(frozen=True)
class TexturedMesh:
    """``vertices`` (V, 3), ``normals`` (V, 3), ``uv`` (V, 2) v down float32, ``faces`` (F, 3) int32,
    ``texture`` (H, W, 3) uint8; ``joints`` (24, 3) float64 with NaN for those that the file does not name,
    or None. In the file's own frame and unit."""

    vertices: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    texture: np.ndarray
    joints: np.ndarray | None = None


def decode_image(data: bytes) -> np.ndarray:
    """RGB (H, W, 3) uint8 of an encoded picture; raises ValueError for one that is none or too large."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "BMP", "TGA", "TIFF")) as image:
                if image.width * image.height > MAX_IMAGE_PIXELS:
                    raise ValueError(f"a texture of {image.width} x {image.height} pixels is too large")
                return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"a texture cannot be decoded ({error})") from error


class Textures:
    """Decodes the pictures of one file, which share a budget of pixels."""

    def __init__(self) -> None:
        self._left = MAX_TOTAL_PIXELS

    def decode(self, data: bytes) -> np.ndarray:
        """As :func:`decode_image`; raises ValueError also when the file's pictures together are too large."""
        image = decode_image(data)
        self._left -= image.shape[0] * image.shape[1]
        if self._left < 0:
            raise ValueError(f"its textures together have more than {MAX_TOTAL_PIXELS:,} pixels")
        return image


def check_totals(parts: Sequence[Part]) -> None:
    """Refuse (ValueError) parts that are too many or together too large."""
    if len(parts) > MAX_PARTS:
        raise ValueError(f"it has more than {MAX_PARTS:,} parts. Join them")
    vertices, faces = sum(len(part.vertices) for part in parts), sum(len(part.faces) for part in parts)
    if vertices > MAX_VERTICES or faces > MAX_FACES:
        raise ValueError(
            f"it has {vertices:,} vertices and {faces:,} triangles or more; the limits are "
            f"{MAX_VERTICES:,} and {MAX_FACES:,}. Decimate it"
        )


def check_part(part: Part) -> None:
    """Refuse (ValueError) what no mesh can be: numbers that are none, indices that point nowhere."""
    vertices, faces = part.vertices, part.faces
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError("its vertices or faces are not triples")
    if not np.isfinite(vertices).all():
        raise ValueError("it has coordinates that are no numbers")
    if np.abs(vertices).max(initial=0.0) > MAX_COORDINATE:
        raise ValueError(f"it has coordinates beyond {MAX_COORDINATE:,.0f}, in whatever unit")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise ValueError("a triangle names a vertex that does not exist")
    for values in (part.uv, part.colors):
        if values is not None and len(values) != len(vertices):
            raise ValueError("its texture coordinates or colours do not match its vertices")
    if part.uv is not None and not np.isfinite(part.uv).all():
        raise ValueError("it has texture coordinates that are no numbers")


def join_parts(parts: Sequence[Part], joints: np.ndarray | None = None) -> TexturedMesh:
    """One mesh of all parts. Raises ValueError where they cannot be one, or there is no triangle."""
    check_totals(parts)
    for part in parts:
        check_part(part)
    parts = [part for part in parts if len(part.faces)]
    if not parts:
        raise ValueError("it holds no triangles")
    vertices, faces, normals, uv, tiles, tile_of = [], [], [], [], [], []
    known: dict[int, int] = {}
    count = 0
    for part in parts:
        smooth = vertex_normals(part.vertices, part.faces, seam_groups(part.vertices))
        if part.image is not None and part.uv is not None:
            tile = known.get(part.image_key) if part.image_key is not None else None
            if tile is None:
                tile = len(tiles)
                tiles.append(_shrunk(part.image, TILE_SIDE))
                if part.image_key is not None:
                    known[part.image_key] = tile
            place, own, index, shade = part.vertices, _wrapped(part.uv), part.faces, smooth
        else:
            place, shade, index, own, painted = _one_texel_a_face(part, smooth)
            tile = len(tiles)
            tiles.append(painted)
        vertices.append(place)
        normals.append(shade)
        faces.append(index + count)
        uv.append(own)
        tile_of.append(np.full(len(place), tile))
        count += len(place)
    texture, scale, offset = _atlas(tiles)
    tile_of = np.concatenate(tile_of)
    return TexturedMesh(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
        (np.concatenate(uv) * scale[tile_of] + offset[tile_of]).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        texture,
        joints,
    )


def _one_texel_a_face(
    part: Part, smooth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The part with corners of its own, every face at the middle of a texel with its mean colour."""
    count = len(part.faces)
    side = int(np.ceil(np.sqrt(count)))
    texels = np.broadcast_to(_GREY, (side * side, 3)).copy()
    if part.colors is not None:
        texels[:count] = np.round(part.colors[part.faces].astype(np.float32).mean(axis=1)).astype(np.uint8)
    number = np.arange(count)
    middle = (np.stack([number % side, number // side], axis=1) + 0.5) / side
    corners = part.faces.reshape(-1)
    faces = np.arange(3 * count).reshape(-1, 3)
    texture = texels.reshape(side, side, 3)
    return part.vertices[corners], smooth[corners], faces, np.repeat(middle, 3, axis=0), texture


def _wrapped(uv: np.ndarray) -> np.ndarray:
    """Texture coordinates brought to [0, 1]; a triangle across a repeating texture's border smears."""
    if uv.min() >= -1e-3 and uv.max() <= 1 + 1e-3:
        return np.clip(uv, 0, 1)
    return uv - np.floor(uv)


def _shrunk(image: np.ndarray, limit: int) -> np.ndarray:
    factor = limit / max(image.shape[:2])
    if factor >= 1:
        return image
    size = (max(1, int(image.shape[1] * factor)), max(1, int(image.shape[0] * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _atlas(tiles: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tiles side by side (H, W, 3), and for each the (scale, offset) (T, 2) of its texture coordinates."""
    total = sum(tile.shape[1] for tile in tiles)
    if total > ATLAS_WIDTH:
        # Painted tiles hold one texel a face and must not be shrunk; a file of so many parts is no person.
        largest = max(tile.shape[1] for tile in tiles)
        limit = max(256, int(largest * ATLAS_WIDTH / total))
        tiles = [_shrunk(tile, limit) for tile in tiles]
        total = sum(tile.shape[1] for tile in tiles)
        if total > ATLAS_WIDTH:
            raise ValueError("it has too many materials to draw")
    height = max(tile.shape[0] for tile in tiles)
    atlas = np.full((height, total, 3), 128, np.uint8)
    scale, offset, left = [], [], 0
    for tile in tiles:
        tall, wide = tile.shape[:2]
        atlas[:tall, left : left + wide] = tile
        scale.append([wide / total, tall / height])
        offset.append([left / total, 0.0])
        left += wide
    return atlas, np.array(scale), np.array(offset)
