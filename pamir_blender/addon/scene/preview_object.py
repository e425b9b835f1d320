"""The live preview: one mesh that replaces itself and is no hypothesis."""

from __future__ import annotations

import bpy
import numpy as np

from ...errors import ResultError
from . import ownership
from .mesh_data import create_mesh, fill_mesh, set_colors, set_weights, skin_to_armature
from .read_result import Result
from .record import Follow
from .skinning import joint_transforms, skin, unskin

ROLE = "preview"
_MADE_FOR = "pamir_made_for"


def find(owner: str) -> bpy.types.Object | None:
    """The preview of a character, if one is shown."""
    return ownership.find_object(owner, ROLE)


def show(collection: bpy.types.Collection, result: Result, follow: Follow, made_for: str) -> bpy.types.Object:
    """Show a preview result on the armature that follows ``follow``, in place of the one before.

    ``made_for`` names the pose it was made for, see :func:`made_for`.
    """
    owner = ownership.character_of(collection)
    points = follow.frame.to_blender(_rest_points(result, follow))
    faces = result.clothed.faces
    obj = find(owner)
    if obj is None:
        armature = ownership.find_object(owner, "armature")
        if armature is None:
            raise ResultError(f"The armature of {collection.name} was deleted. Undo that first.")
        mesh = create_mesh("PaMIR preview", points, faces, owner)
        mesh.materials.append(_material(owner))
        obj = ownership.claim(bpy.data.objects.new("PaMIR preview", mesh), owner, ROLE)
        obj.hide_select = True
        obj.hide_render = True
        skin_to_armature(obj, result.clothed.skin, armature)
        collection.objects.link(obj)
    else:
        obj.data.clear_geometry()
        fill_mesh(obj.data, points, faces)
        set_weights(obj, result.clothed.skin)
    if result.clothed.colors is not None:
        set_colors(obj.data, result.clothed.colors)
    obj[_MADE_FOR] = made_for
    return obj


def remove(owner: str) -> bool:
    """Take the preview away; says whether there was one."""
    obj = find(owner)
    if obj is None:
        return False
    mesh = obj.data
    bpy.data.batch_remove([obj, mesh, *(m for m in mesh.materials if m is not None)])
    return True


def made_for(owner: str) -> str:
    """What :func:`show` was told the shown preview was made for, or an empty string."""
    obj = find(owner)
    return str(obj.get(_MADE_FOR, "")) if obj is not None else ""


def _rest_points(result: Result, follow: Follow) -> np.ndarray:
    """(V, 3) SMPL rest frame: where the armature, as it is, poses the preview exactly as it came.

    The armature's joints are still those of the hypothesis that it follows; the preview's betas may differ.
    """
    body, clothed = result.body, result.clothed
    if np.array_equal(body.joints_rest, follow.joints_rest):
        return clothed.vertices_rest
    posed = skin(clothed.vertices_rest, clothed.skin, joint_transforms(body.pose, body.joints_rest))
    # The pelvis bone keeps its place while betas change it: the root's own joint is the one difference.
    return unskin(posed, clothed.skin, joint_transforms(body.pose, follow.joints_rest))


def _material(owner: str) -> bpy.types.Material:
    material = ownership.claim(bpy.data.materials.new("PaMIR preview"), owner)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    node = tree.nodes.new("ShaderNodeVertexColor")
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    return material
