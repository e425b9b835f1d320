"""A measured view as a strip of pictures, and strips as a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ...rigging.mesh import vertex_normals
from ...rigging.preview import render
from ..metrics import Mesh
from .case import Case

TILE = 224
HEADS = ("picture", "true, front", "made, front", "true, side", "made, side", "made, back")
_TEXT_HEIGHT = 22


def strip(case: Case, mesh: Mesh, depth_shift: float = 0.0) -> np.ndarray:
    """(TILE, 6 TILE, 3) uint8: the picture, then the true mesh and ``mesh`` as :data:`HEADS` says.

    ``depth_shift`` box units, by which ``mesh`` was moved before it was measured.
    """
    centre = (case.truth[0][:, 2].min() + case.truth[0][:, 2].max()) / 2
    made = (mesh[0] + np.array([0, 0, depth_shift - centre], np.float32), mesh[1])
    truth = (case.truth[0] - np.array([0, 0, centre], np.float32), case.truth[1])
    picture = cv2.resize(case.photo.crop, (TILE, TILE), interpolation=cv2.INTER_AREA)
    tiles = [picture, *(_normals(m, yaw) for yaw in (0, 90) for m in (truth, made)), _normals(made, 180)]
    return np.concatenate(tiles, axis=1)


def _normals(mesh: Mesh, yaw: float) -> np.ndarray:
    """The mesh with its normals as colours: shape shows better than in grey."""
    vertices, faces = np.asarray(mesh[0], np.float32), mesh[1]
    normals = vertex_normals(vertices, faces)
    colors = np.clip((normals * 0.5 + 0.5) * 255, 0, 255).astype(np.uint8)
    return render(vertices, faces, colors=colors, yaw=yaw, size=TILE)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write RGB (H, W, 3) uint8 as PNG; raises OSError where that fails."""
    done, data = cv2.imencode(".png", picture[..., ::-1])
    if not done:
        raise OSError(f"{path} could not be encoded")
    path.write_bytes(data.tobytes())


def write_picture_alpha(path: Path, picture: np.ndarray) -> None:
    """Write RGBA (H, W, 4) uint8 as PNG; raises OSError where that fails."""
    done, data = cv2.imencode(".png", picture[..., [2, 1, 0, 3]])
    if not done:
        raise OSError(f"{path} could not be encoded")
    path.write_bytes(data.tobytes())


def read_picture(path: Path) -> np.ndarray | None:
    """RGB (H, W, 3) uint8 of an image of our own, None if it is not there."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if picture is None else picture[..., ::-1]


def contact_sheet(strips: Sequence[tuple[str, np.ndarray]], heads: Sequence[str] = HEADS) -> np.ndarray:
    """Captioned strips below each other, in the order given, with ``heads`` above the tiles."""
    width = max((picture.shape[1] for _, picture in strips), default=TILE)
    blocks = [_text_row([(i * width // len(heads), head) for i, head in enumerate(heads)], width)]
    for caption, picture in strips:
        wide = np.full((picture.shape[0], width, 3), 255, np.uint8)
        wide[:, : picture.shape[1]] = picture
        blocks += [_text_row([(0, caption)], width), wide]
    return np.concatenate(blocks)


def _text_row(texts: Sequence[tuple[int, str]], width: int) -> np.ndarray:
    row = np.full((_TEXT_HEIGHT, width, 3), 235, np.uint8)
    for left, text in texts:
        plain = text.encode("ascii", "replace").decode()
        cv2.putText(row, plain, (left + 6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return row
