"""Triangles and skin weights to Blender meshes, in bulk."""

from __future__ import annotations

import bpy
import numpy as np

from ...contracts import JOINT_NAMES
from .ownership import claim
from .read_result import SkinWeights


def create_mesh(name: str, vertices: np.ndarray, faces: np.ndarray, owner: str) -> bpy.types.Mesh:
    """A smooth-shaded mesh of ``vertices`` (V, 3) metres in Blender's axes and triangles ``faces`` (F, 3)."""
    mesh = claim(bpy.data.meshes.new(name), owner)
    fill_mesh(mesh, vertices, faces)
    return mesh


def fill_mesh(mesh: bpy.types.Mesh, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Fill an empty mesh, as for :func:`create_mesh`."""
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.update(calc_edges=True)
    mesh.shade_smooth()


def set_corner_uv(mesh: bpy.types.Mesh, corner_uv: np.ndarray) -> None:
    """Give the mesh one UV map from ``corner_uv`` (F, 3, 2), v up."""
    layer = mesh.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", np.ascontiguousarray(corner_uv, np.float32).ravel())


def set_colors(mesh: bpy.types.Mesh, colors: np.ndarray) -> None:
    """Colour the vertices: ``colors`` (V, 3) uint8 sRGB."""
    layer = mesh.color_attributes.get("Color") or mesh.color_attributes.new("Color", "BYTE_COLOR", "POINT")
    rgba = np.ones((len(colors), 4), np.float32)
    rgba[:, :3] = colors / 255.0
    layer.data.foreach_set("color_srgb", rgba.ravel())
    mesh.color_attributes.active_color = layer
    mesh.update()


def skin_to_armature(obj: bpy.types.Object, skin: SkinWeights, armature: bpy.types.Object) -> None:
    """Bind ``obj`` to ``armature`` by linear blend skinning (SMPL's own, so without Preserve Volume)."""
    set_weights(obj, skin)
    obj.parent = armature
    modifier = obj.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    modifier.use_vertex_groups = True
    modifier.use_bone_envelopes = False
    modifier.use_deform_preserve_volume = False


def set_weights(obj: bpy.types.Object, skin: SkinWeights) -> None:
    """Weight the vertices of an object that has no weights yet, in vertex groups named like the joints."""
    for joint, name in enumerate(JOINT_NAMES):
        group = obj.vertex_groups.get(name) or obj.vertex_groups.new(name=name)
        add = group.add
        values = np.where(skin.joints == joint, skin.values, 0.0).sum(axis=1)
        vertices = np.flatnonzero(values > 0)
        full = vertices[values[vertices] >= 1.0]
        if len(full):
            add(full.tolist(), 1.0, "REPLACE")
        blended = vertices[values[vertices] < 1.0]
        for vertex, value in zip(blended.tolist(), values[blended].tolist(), strict=True):
            add((vertex,), value, "REPLACE")
