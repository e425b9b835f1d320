"""Seeing a wrong limb at a glance: the body over the photo, bones and body coloured by confidence."""

from __future__ import annotations

import bpy
import numpy as np

from ...contracts import JOINT_NAMES, LIMBS

HIDDEN, WIRE, SOLID, XRAY = "HIDDEN", "WIRE", "SOLID", "XRAY"
XRAY_ALPHA = 0.35
CONFIDENCE = "pamir_confidence"
DOUBT, TRUST = np.array([0.90, 0.15, 0.10]), np.array([0.15, 0.70, 0.25])


def body_display(body: bpy.types.Object | None) -> str:
    """How the body is shown now: one of HIDDEN, WIRE, SOLID, XRAY."""
    if body is None or body.hide_get():
        return HIDDEN
    if body.display_type == "WIRE":
        return WIRE
    return XRAY if body.show_in_front else SOLID


def show_body(body: bpy.types.Object, display: str) -> None:
    """Show the body as wires, solid, or translucent in front of everything, or hide it again."""
    body.hide_set(display == HIDDEN)
    body.display_type = "WIRE" if display == WIRE else "TEXTURED"
    body.show_in_front = display in (WIRE, XRAY)
    for material in body.data.materials:
        if material is not None:
            *color, _ = material.diffuse_color
            material.diffuse_color = (*color, XRAY_ALPHA if display == XRAY else 1.0)


def photo_of(camera: bpy.types.Object | None) -> bpy.types.CameraBackgroundImage | None:
    """The photo behind the character, as the camera's background."""
    found = camera.data.background_images if camera is not None and camera.type == "CAMERA" else ()
    return next((background for background in found if background.image is not None), None)


def colors_shown(armature: bpy.types.Object) -> bool:
    """Whether the bones are coloured by confidence."""
    return bool(armature.get(CONFIDENCE, False))


def color_by_confidence(
    armature: bpy.types.Object, body: bpy.types.Object | None, confidence: dict[str, float]
) -> None:
    """Colour bones and the body's vertices by their limb's confidence: red is a guess, green is sure."""
    colors = joint_colors(confidence)
    for name, color in zip(JOINT_NAMES, colors, strict=True):
        bone = armature.pose.bones.get(name)
        if bone is None:
            continue
        bone.color.palette = "CUSTOM"
        bone.color.custom.normal = color.tolist()
        bone.color.custom.select = np.minimum(color + 0.25, 1.0).tolist()
        bone.color.custom.active = np.minimum(color + 0.4, 1.0).tolist()
    armature[CONFIDENCE] = True
    if body is not None:
        _color_vertices(body, colors)


def uncolor(armature: bpy.types.Object, body: bpy.types.Object | None) -> None:
    """Give bones and body their usual colours back."""
    for name in JOINT_NAMES:
        bone = armature.pose.bones.get(name)
        if bone is not None:
            bone.color.palette = "DEFAULT"
    armature[CONFIDENCE] = False
    layer = body.data.color_attributes.get(CONFIDENCE) if body is not None else None
    if layer is not None:
        body.data.color_attributes.remove(layer)


def joint_colors(confidence: dict[str, float]) -> np.ndarray:
    """(24, 3) colours in [0, 1]; joints without a known confidence count as sure."""
    values = np.ones((24, 1))
    for limb, joints in LIMBS.items():
        values[list(joints)] = confidence.get(limb, 1.0)
    return DOUBT + (TRUST - DOUBT) * values


def _color_vertices(body: bpy.types.Object, colors: np.ndarray) -> None:
    """Each vertex in the colour of the joint that holds most of it."""
    mesh = body.data
    joint_of_group = {g.index: JOINT_NAMES.index(g.name) for g in body.vertex_groups if g.name in JOINT_NAMES}
    rgba = np.ones((len(mesh.vertices), 4), np.float32)
    for i, vertex in enumerate(mesh.vertices):
        held = [(g.weight, joint_of_group[g.group]) for g in vertex.groups if g.group in joint_of_group]
        if held:
            rgba[i, :3] = colors[max(held)[1]]
    layer = mesh.color_attributes.get(CONFIDENCE)
    if layer is None:
        layer = mesh.color_attributes.new(CONFIDENCE, "BYTE_COLOR", "POINT")
    layer.data.foreach_set("color_srgb", rgba.ravel())
    mesh.color_attributes.active_color = layer
