"""Reading a result folder, checked before Blender sees a single number of it.

A result folder may come from a stranger: sizes are bounded before memory is taken, nothing is
unpickled, and every array's shape, type and range are checked. Frames are those of
:mod:`pamir_blender.camera`; arrays called *rest* are in SMPL's own T-pose frame, and
``character = skinned(rest) + body_offset``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...arrays import MAX_FACES, MAX_VERTICES, Arrays
from ...body_state import BodyState
from ...errors import RequestError, ResultError
from ...image_header import picture_size
from ...plain_files import why_not_plain
from .result_info import Placed, ResultInfo, read_info

JOINTS = 24
MAX_BETA = 10.0
"""Blender's shape keys hold values in [-10, 10]."""
MAX_TEXTURE_BYTES = 512 << 20
MAX_TEXTURE_SIDE = 16_384


@dataclass(frozen=True)
class SkinWeights:
    """At most four joints per vertex: ``joints`` (N, 4) in 0..23, ``values`` (N, 4), rows add up to 1."""

    joints: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class BodyData:
    """The SMPL body of a result, in metres, SMPL's rest frame.

    ``template`` (V, 3); ``shapedirs`` (V, 3, 10); ``pose_corrective`` (V, 3), the posedirs' term of this
    pose; ``faces`` (F, 3); ``joints_rest`` (24, 3) of the shaped body; ``betas`` (10,);
    ``pose`` (24, 3) axis-angle; ``offset`` (3,) with ``character = skinned + offset``.
    """

    template: np.ndarray
    shapedirs: np.ndarray
    pose_corrective: np.ndarray
    faces: np.ndarray
    skin: SkinWeights
    joints_rest: np.ndarray
    betas: np.ndarray
    pose: np.ndarray
    offset: np.ndarray

    def shaped_template(self) -> np.ndarray:
        """(V, 3) metres: the T-pose body of these betas, without the pose corrective (SMPL's T + B_S)."""
        return self.template + self.shapedirs @ self.betas


@dataclass(frozen=True)
class ClothedData:
    """The clothed surface: ``vertices_rest`` (W, 3) metres in SMPL's rest frame, ``faces`` (G, 3).

    ``corner_uv`` (G, 3, 2) with v up, or None; ``texture`` the colour image's file, or None;
    ``colors`` (W, 3) uint8 sRGB of a preview, or None.
    """

    vertices_rest: np.ndarray
    faces: np.ndarray
    skin: SkinWeights
    corner_uv: np.ndarray | None
    texture: Path | None
    colors: np.ndarray | None = None


@dataclass(frozen=True)
class CameraData:
    """The matched orthographic camera: see :class:`pamir_blender.camera.BlenderCamera`."""

    location: tuple[float, float, float]
    ortho_scale: float
    resolution: tuple[int, int]


@dataclass(frozen=True)
class Result:
    """A whole result folder. ``state`` is its exact body; None if an old result does not tell it."""

    body: BodyData
    clothed: ClothedData
    camera: CameraData
    info: ResultInfo
    state: BodyState | None = None


@dataclass(frozen=True)
class EarlyBody:
    """What is known of a character while its clothes are still being found."""

    body: BodyData
    camera: CameraData
    info: ResultInfo


def read_result(folder: Path) -> Result:
    """Read and check ``result.json`` and ``scene.npz`` of a finished result folder.

    Raises :class:`ResultError` naming the file and what is wrong with it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ResultError(f"The result folder {folder} does not exist. Reconstruct the photo again.")
    info = read_info(folder)
    arrays = Arrays(folder / "scene.npz")
    body = _body(arrays)
    state = _state(arrays, body, info.placed)
    return Result(body, _clothed(arrays, folder), _camera(arrays), info, state)


def read_early_body(folder: Path) -> EarlyBody:
    """Read and check the folder a running job shows its body in: as :func:`read_result`, without clothes."""
    arrays = Arrays(folder / "scene.npz")
    return EarlyBody(_body(arrays), _camera(arrays), read_info(folder))


def _state(arrays: Arrays, body: BodyData, placed: Placed | None) -> BodyState | None:
    """The exact body of the result, which a regeneration starts from."""
    if placed is None:
        return None
    scale, translation = placed.scale, placed.translation
    if "body_placement" in arrays:
        scale, *translation = (float(v) for v in arrays.floats("body_placement", (4,)))
    try:
        return BodyState.from_arrays(
            body.pose,
            body.betas,
            scale=scale,
            translation=translation,
            frame_scale=placed.frame_scale,
            frame_origin=placed.frame_origin,
        )
    except RequestError as error:
        raise arrays.error(f"holds a body that cannot be ({error})") from error


def _skin(arrays: Arrays, prefix: str, count: int) -> SkinWeights:
    joints = arrays.indices(f"{prefix}_weights_indices", (count, 4), JOINTS, MAX_VERTICES)
    values = arrays.floats(f"{prefix}_weights", (count, 4), bound=1.001)
    if values.min() < -1e-6 or np.abs(values.sum(axis=1) - 1).max() > 1e-2:
        raise arrays.error(f"holds skin weights in {prefix}_weights that do not add up to 1")
    return SkinWeights(joints, np.maximum(values, 0.0))


def _body(arrays: Arrays) -> BodyData:
    template = arrays.floats("body_template", (None, 3))
    count = len(template)
    return BodyData(
        template=template,
        shapedirs=arrays.floats("body_shapedirs", (count, 3, 10)),
        pose_corrective=arrays.floats("body_pose_corrective", (count, 3)),
        faces=arrays.indices("body_faces", (None, 3), count, MAX_FACES),
        skin=_skin(arrays, "body", count),
        joints_rest=arrays.floats("joints_rest", (JOINTS, 3)),
        betas=arrays.floats("betas", (10,), bound=MAX_BETA),
        pose=arrays.floats("pose", (JOINTS, 3)),
        offset=arrays.floats("body_offset", (3,)),
    )


def _clothed(arrays: Arrays, folder: Path) -> ClothedData:
    vertices = arrays.floats("clothed_vertices_rest", (None, 3))
    count = len(vertices)
    faces = arrays.indices("clothed_faces", (None, 3), count, MAX_FACES)
    has_uv = "clothed_corner_uv" in arrays
    return ClothedData(
        vertices_rest=vertices,
        faces=faces,
        skin=_skin(arrays, "clothed", count),
        corner_uv=arrays.floats("clothed_corner_uv", (len(faces), 3, 2)) if has_uv else None,
        texture=_texture(folder) if has_uv else None,
        colors=_colors(arrays, count) if "clothed_colors" in arrays else None,
    )


def _colors(arrays: Arrays, count: int) -> np.ndarray:
    return arrays.indices("clothed_colors", (count, 3), 256, MAX_VERTICES).astype(np.uint8)


def _texture(folder: Path) -> Path | None:
    """The colour image, if there is one; its size is known before Blender decodes it."""
    path = folder / "texture.png"
    try:
        reason = why_not_plain(path, MAX_TEXTURE_BYTES)
        size = None if reason else picture_size(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultError(f"The texture {path} cannot be read: {error.strerror}.") from error
    if not reason and size is None:
        reason = "is no picture, or damaged"
    elif size is not None and (min(size) < 1 or max(size) > MAX_TEXTURE_SIDE):
        reason = f"claims to have {size[0]} x {size[1]} pixels; no result of this add-on has"
    if reason:
        raise ResultError(f"The texture {path} {reason}. Reconstruct the photo again.")
    return path


def _camera(arrays: Arrays) -> CameraData:
    location = arrays.floats("camera_location", (3,))
    scale = arrays.number("camera_ortho_scale")
    resolution = arrays.get("camera_resolution", (2,))
    width, height = (int(side) for side in resolution)
    if scale <= 0 or not (0 < width <= 65536 and 0 < height <= 65536):
        raise arrays.error(f"describes an impossible camera (scale {scale:g}, {width} x {height} pixels)")
    return CameraData(tuple(float(c) for c in location), scale, (width, height))
