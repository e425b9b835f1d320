"""From a result folder to the objects of one character, in two steps: the body early, then the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import bpy
import numpy as np

from . import hypotheses, ownership
from .armature import create_armature
from .body_object import create_body
from .camera_object import create_camera
from .collection import create_collection, photo_name
from .pose import apply_pose
from .read_result import BodyData, CameraData, EarlyBody, Result
from .rest_frame import rest_frame

_BODY_DIGEST = "pamir_body_digest"


def import_early_body(early: EarlyBody, scene: bpy.types.Scene, owner: str) -> None:
    """Import armature, body and camera of the character ``owner`` into a new collection of ``scene``.

    On any error nothing of the character is left in Blender, and the error goes on.
    """
    with _whole_or_nothing(owner):
        _import_body(early.body, early.camera, early.info.photo, scene, owner)


def import_character(result: Result, scene: bpy.types.Scene, owner: str) -> None:
    """Import a whole character as ``owner``, keeping the early body if it is there and still the same.

    On any error nothing of the character is left in Blender, and the error goes on.
    """
    with _whole_or_nothing(owner):
        if not _has_body(owner, result.body):
            # None was shown, the artist undid or deleted it, or the body was improved since.
            ownership.remove_character(owner)
            _import_body(result.body, result.camera, result.info.photo, scene, owner)
        collection = ownership.find_collection(owner)
        hypotheses.add(collection, result, owner)
        _hide(ownership.find_object(owner, "body"), scene)
        if scene.camera is None:
            scene.camera = ownership.find_object(owner, "camera")


@contextmanager
def _whole_or_nothing(owner: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        ownership.remove_character(owner)
        raise


def _import_body(body: BodyData, camera: CameraData, photo: str, scene: bpy.types.Scene, owner: str) -> None:
    collection = create_collection(photo, scene, owner)
    name = _short_name(photo)
    frame = rest_frame(body)
    armature = create_armature(f"{name} armature", body, frame, owner)
    armature[_BODY_DIGEST] = _digest(body)
    for obj in (
        armature,
        create_body(f"{name} body", body, frame, armature, owner),
        create_camera(f"{name} camera", camera, photo, scene.render, owner),
    ):
        collection.objects.link(obj)
    apply_pose(armature, body.pose, body.offset)


def _has_body(owner: str, body: BodyData) -> bool:
    found = {role: ownership.find_object(owner, role) for role in ("armature", "body", "camera")}
    return (
        None not in found.values()
        and ownership.find_collection(owner) is not None
        and found["armature"].get(_BODY_DIGEST) == _digest(body)
    )


def _digest(body: BodyData) -> str:
    digest = hashlib.sha256()
    for array in (body.template, body.shapedirs, body.pose_corrective, body.betas, body.pose, body.offset):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def select_character(owner: str, context: bpy.types.Context) -> None:
    """Select the new armature, as importers do; an artist who is inside another mode is left alone."""
    armature = ownership.find_object(owner, "armature")
    context.view_layer.update()  # Blender 5 lists new objects only then
    if context.mode != "OBJECT" or armature is None or armature.name not in context.view_layer.objects:
        return
    for obj in context.view_layer.objects:
        obj.select_set(False)
    armature.select_set(True)
    context.view_layer.objects.active = armature


def _hide(body: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """The body would show through its clothes; it stays one click away in the panel and the outliner."""
    body.hide_render = True
    for view_layer in scene.view_layers:
        # Raised for a layer that excludes the collection. Whether it does cannot be asked before Blender 5
        # has brought the layer's list of objects up to date.
        with suppress(RuntimeError):
            body.hide_set(True, view_layer=view_layer)


def _short_name(photo: str) -> str:
    return photo_name(photo) or "PaMIR"
