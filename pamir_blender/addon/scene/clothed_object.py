"""The clothed mesh: skinned, UV-mapped, coloured by the baked texture."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...errors import ResultError
from .mesh_data import create_mesh, set_corner_uv, skin_to_armature
from .ownership import claim
from .read_result import ClothedData
from .rest_frame import RestFrame

ROUGHNESS = 0.85
"""Cloth and skin are matt; the photo's own highlights are already in the texture."""


def create_clothed(
    name: str, clothed: ClothedData, frame: RestFrame, armature: bpy.types.Object, owner: str
) -> bpy.types.Object:
    """A new clothed object, in no collection yet; :class:`ResultError` if its texture cannot be read."""
    mesh = create_mesh(name, frame.to_blender(clothed.vertices_rest), clothed.faces, owner)
    if clothed.corner_uv is not None:
        set_corner_uv(mesh, clothed.corner_uv)
    mesh.materials.append(_material(name, clothed.texture, owner))
    obj = claim(bpy.data.objects.new(name, mesh), owner, "clothed")
    skin_to_armature(obj, clothed.skin, armature)
    return obj


def _material(name: str, texture: Path | None, owner: str) -> bpy.types.Material:
    material = claim(bpy.data.materials.new(name), owner)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = ROUGHNESS
    if texture is not None:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = _texture_image(name, texture, owner)
        node.location = (shader.location.x - 320, shader.location.y)
        tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
        tree.nodes.active = node
    return material


def _texture_image(name: str, texture: Path, owner: str) -> bpy.types.Image:
    """The texture, packed: the .blend stays whole when the result folder is cleaned away."""
    try:
        image = bpy.data.images.load(str(texture), check_existing=False)
    except RuntimeError as error:
        raise ResultError(f"The texture {texture} cannot be read. Reconstruct the photo again.") from error
    claim(image, owner)
    if min(image.size) == 0:
        raise ResultError(f"The texture {texture} is damaged. Reconstruct the photo again.")
    image.name = f"{name} texture"
    image.pack()
    return image
