"""A small software renderer: the photo beside the result, and the result's silhouette in the photo."""

from __future__ import annotations

import cv2
import numpy as np

from ..camera import CropWindow, box_to_crop
from ..rasterise import coverage, fragments, nearest, sample
from .mesh import vertex_normals

_BACKGROUND = 255
_AMBIENT = 0.65  # a headlight adds the rest: enough to show form without hiding the texture


def silhouette(
    vertices: np.ndarray, faces: np.ndarray, window: CropWindow, photo_size: tuple[int, int]
) -> np.ndarray:
    """(H, W) bool: the pixels of a photo (width, height) that a mesh in the box covers."""
    place = window.crop_to_photo(box_to_crop(vertices))
    return coverage(place[faces], photo_size)


def silhouette_iou(covered: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of a silhouette (H, W) bool and a mask (H, W) in [0, 1]."""
    person = mask > 0.5
    union = np.count_nonzero(covered | person)
    return np.count_nonzero(covered & person) / union if union else 0.0


def render(
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    corner_uv: np.ndarray | None = None,
    texture: np.ndarray | None = None,
    colors: np.ndarray | None = None,
    yaw: float = 0.0,
    size: int = 512,
) -> np.ndarray:
    """An orthographic picture (size, size, 3) uint8 of the box, turned by ``yaw`` degrees about the vertical.

    ``vertices`` (V, 3) box frame; colours from ``texture`` by ``corner_uv`` (F, 3, 2), or from ``colors``
    (V, 3) uint8 at the vertices, or plain grey. At 90 degrees the person's left side is seen.
    """
    picture, seen = _draw(vertices, faces, corner_uv, texture, colors, yaw, 2 * size)  # four samples a pixel
    picture[~seen] = _BACKGROUND
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def thumbnail(
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    corner_uv: np.ndarray | None = None,
    texture: np.ndarray | None = None,
    size: int = 256,
) -> np.ndarray:
    """The mesh from the front on a clear ground, (size, size, 4) uint8; arguments as in :func:`render`."""
    picture, seen = _draw(vertices, faces, corner_uv, texture, None, 0.0, 2 * size)
    small = [
        cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA)
        for plane in (picture.astype(np.float32) * seen[..., None], seen.astype(np.float32))
    ]
    colour = small[0] / np.maximum(small[1], 1e-6)[..., None]  # not darkened by the ground around it
    return np.round(np.concatenate([colour, 255 * small[1][..., None]], axis=2)).astype(np.uint8)


def _draw(
    vertices: np.ndarray,
    faces: np.ndarray,
    corner_uv: np.ndarray | None,
    texture: np.ndarray | None,
    colors: np.ndarray | None,
    yaw: float,
    fine: int,
) -> tuple[np.ndarray, np.ndarray]:
    """A picture (fine, fine, 3) uint8, one sample a pixel, and where (fine, fine) it shows the mesh."""
    normals = vertex_normals(vertices, faces)
    turned, normals = _turn(vertices, yaw), _turn(normals, yaw)
    corners = (box_to_crop(turned) * (fine / box_to_crop(np.array([0.5, 0.0]))[0]))[faces]
    edge, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    front = np.flatnonzero(edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0] < 0)  # v points down
    pieces = fragments(corners[front], (fine, fine))
    depth = pieces.interpolate(turned[faces[front]][:, :, 2:].astype(np.float32))[:, 0]
    winner, _ = nearest(pieces, depth, (fine, fine))
    seen = winner >= 0
    shown = pieces.select(winner[seen])
    light = shown.interpolate(normals[faces[front]])
    light = light[:, 2] / np.maximum(np.linalg.norm(light, axis=1), 1e-6)
    light = _AMBIENT + (1 - _AMBIENT) * np.clip(light, 0, 1)
    if texture is not None and corner_uv is not None:
        uv = shown.interpolate(corner_uv[front].astype(np.float32))
        colour = sample_texture(texture, uv)
    elif colors is not None:
        colour = shown.interpolate(colors[faces[front]].astype(np.float32))
    else:
        colour = np.full((len(light), 3), 200, np.float32)
    picture = np.zeros((fine, fine, 3), np.uint8)
    picture[seen] = np.clip(colour * light[:, None], 0, 255).astype(np.uint8)
    return picture, seen


def preview(
    crop: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    corner_uv: np.ndarray | None = None,
    texture: np.ndarray | None = None,
    colors: np.ndarray | None = None,
) -> np.ndarray:
    """The crop (S, S, 3) uint8 beside the mesh from the front, its left side and the back: (S, 4 S, 3)."""
    centred = vertices - np.array([0, 0, (vertices[:, 2].min() + vertices[:, 2].max()) / 2], vertices.dtype)
    sides = [
        render(
            vertices if yaw == 0 else centred,
            faces,
            corner_uv=corner_uv,
            texture=texture,
            colors=colors,
            yaw=yaw,
            size=len(crop),
        )
        for yaw in (0.0, 90.0, 180.0)
    ]
    return np.concatenate([crop, *sides], axis=1)


def sample_texture(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Colours (N, 3) float32 in [0, 255] of a texture (H, W, 3) at uv (N, 2), v up, bilinear."""
    height, width = texture.shape[:2]
    return sample(texture, np.stack([uv[:, 0] * width, (1 - uv[:, 1]) * height], axis=1))


def _turn(points: np.ndarray, yaw: float) -> np.ndarray:
    """Points (N, 3) seen after walking ``yaw`` degrees around to the person's left."""
    angle = np.radians(yaw)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return (points @ turn.T).astype(np.float32)
