"""Writing a reconstruction's files into its folder (see :mod:`pamir_blender.result`)."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .camera import BlenderCamera, blender_camera
from .character import Character, Rigged
from .contracts import Photo, PosedBody, Surface
from .result import write_json, write_scene
from .rigging.gltf import write_glb
from .rigging.mesh_files import write_obj, write_ply
from .rigging.preview import preview, silhouette, silhouette_iou, thumbnail
from .rigging.skin_weights import limit_influences

_PLAIN = np.full((8, 8, 3), 186, np.uint8)
"""The texture of a character that was not to be painted: an even grey."""


def save_body_stage(folder: Path, photo: Photo, posed: PosedBody) -> None:
    """The body alone, so that Blender can show it while the surface is still being found."""
    folder.mkdir()
    write_scene(folder, _body_arrays(photo, posed))
    write_json(folder, {"stage": "body", **_describe(photo, posed)})


def save_character(
    folder: Path,
    photo: Photo,
    character: Character,
    surface: Surface,
    progress: Callable[[float], None] = lambda fraction: None,
) -> dict[str, Any]:
    """Every file of the finished reconstruction but ``result.json``, whose content is returned."""
    posed = character.posed
    texture = _PLAIN if character.texture is None else character.texture
    # The artist waits: compression and writing leave Python's lock free, so that two cores share the files.
    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(_save_textured, folder, character, texture),
            pool.submit(_save_pictures, folder, photo, character, texture),
            pool.submit(write_scene, folder, {**_body_arrays(photo, posed), **_clothed_arrays(character)}),
            pool.submit(_save_plain, folder, posed, surface),
        ]
        for done, _ in enumerate(as_completed(waiting), 1):
            progress(done / (len(waiting) + 1))
    for each in waiting:
        each.result()  # raises what the writer raised
    height, width = photo.mask.shape
    covered = silhouette(character.vertices, character.faces, photo.window, (width, height))
    return {
        **_describe(photo, posed),
        "silhouette_iou": round(float(silhouette_iou(covered, photo.mask)), 4),
        "mesh": {"vertices": len(character.vertices), "faces": len(character.faces)},
    }


def _save_textured(folder: Path, character: Character, texture: np.ndarray) -> None:
    """The texture and the glTF file, which holds the same PNG."""
    file = io.BytesIO()
    # Level 1: three times as fast as the default for a tenth more bytes.
    Image.fromarray(texture).save(file, "PNG", compress_level=1)
    if character.texture is not None:
        (folder / "texture.png").write_bytes(file.getvalue())
    write_glb(
        folder / "clothed.glb",
        vertices=character.rest,
        faces=character.faces,
        corner_uv=character.corner_uv,
        joints=character.joints,
        weights=character.weights,
        joints_rest=character.posed.joints_rest,
        pose=character.posed.body.pose,
        body_offset=character.posed.offset,
        texture=file.getvalue(),
    )


def _save_plain(folder: Path, posed: PosedBody, surface: Surface) -> None:
    """The body, and the surface at its full resolution."""
    write_obj(folder / "body.obj", posed.in_character(), posed.faces)
    metres = posed.frame.box_to_character(surface.vertices).astype(np.float32)
    write_ply(folder / "clothed.ply", metres, surface.faces, surface.colors)


def _save_pictures(folder: Path, photo: Photo, character: Character, texture: np.ndarray) -> None:
    mesh = (character.vertices, character.faces)
    picture = preview(photo.crop, *mesh, corner_uv=character.corner_uv, texture=texture)
    Image.fromarray(picture).save(folder / "preview.png", compress_level=1)
    small = thumbnail(*mesh, corner_uv=character.corner_uv, texture=texture)
    Image.fromarray(small).save(folder / "thumbnail.png")


def save_preview(folder: Path, photo: Photo, rigged: Rigged, colors: np.ndarray) -> dict[str, Any]:
    """``scene.npz`` alone, with vertex colours (W, 3) uint8 in place of UV and texture.

    Returns the content of ``result.json``.
    """
    clothed = {**_rigged_arrays(rigged), "clothed_colors": colors}
    write_scene(folder, {**_body_arrays(photo, rigged.posed), **clothed})
    return {
        **_describe(photo, rigged.posed),
        "mesh": {"vertices": len(rigged.vertices), "faces": len(rigged.faces)},
    }


def _camera(photo: Photo, posed: PosedBody) -> BlenderCamera:
    height, width = photo.image.shape[:2]
    return blender_camera(photo.window, posed.frame, (width, height))


def _describe(photo: Photo, posed: PosedBody) -> dict[str, Any]:
    body, camera = posed.body, _camera(photo, posed)
    return {
        "photo": {
            "path": str(Path(photo.source).absolute()),
            "digest": photo.digest,
            "size": [photo.image.shape[1], photo.image.shape[0]],
            "mask_source": photo.mask_source,
            "warnings": list(photo.warnings),
        },
        "body": {
            "model": body.model,
            "betas": [round(float(b), 6) for b in body.betas],
            "pose": [[round(float(a), 7) for a in row] for row in body.pose],
            "scale": body.placement.scale,
            "translation": [float(t) for t in body.placement.translation],
            "confidence": {limb: round(float(value), 3) for limb, value in body.confidence.items()},
        },
        "camera": {
            "window_scale": photo.window.scale,
            "window_offset": list(photo.window.offset),
            "frame_scale": posed.frame.scale,
            "frame_origin": list(posed.frame.origin),
            "location": list(camera.location),
            "ortho_scale": camera.ortho_scale,
            "resolution": list(camera.resolution),
        },
    }


def _body_arrays(photo: Photo, posed: PosedBody) -> dict[str, np.ndarray]:
    camera, placement = _camera(photo, posed), posed.body.placement
    joints, weights = limit_influences(posed.skinning_weights)
    return {
        "joints_rest": posed.joints_rest,
        "joints_template": posed.joints_template,
        "joints_shapedirs": posed.joints_shapedirs,
        "pose": posed.body.pose,
        "betas": posed.body.betas,
        "body_placement": np.array([placement.scale, *placement.translation]),
        "body_offset": posed.offset,
        "body_template": posed.template,
        "body_shapedirs": posed.shapedirs,
        "body_pose_corrective": posed.pose_corrective,
        "body_faces": posed.faces,
        "body_weights_indices": joints,
        "body_weights": weights,
        "camera_location": np.array(camera.location),
        "camera_ortho_scale": np.array(camera.ortho_scale),
        "camera_resolution": np.array(camera.resolution, np.int32),
    }


def _clothed_arrays(character: Character) -> dict[str, np.ndarray]:
    return {**_rigged_arrays(character), "clothed_corner_uv": character.corner_uv}


def _rigged_arrays(rigged: Rigged) -> dict[str, np.ndarray]:
    return {
        "clothed_vertices_rest": rigged.rest,
        "clothed_faces": rigged.faces,
        "clothed_weights_indices": rigged.joints,
        "clothed_weights": rigged.weights,
    }
