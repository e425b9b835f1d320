"""The surface becomes a character: decimated, skinned, unwrapped, painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from .contracts import LIMBS, Photo, PosedBody, Surface
from .pamir.colour import ColourQuery, PhotoColours, PhotoVisibility, blend, query_colours
from .rigging.atlas import build_atlas
from .rigging.bake import SurfacePoints, bake_texture
from .rigging.decimate import decimate
from .rigging.mesh import vertex_normals
from .rigging.rest_pose import unpose
from .rigging.separate import separate_arms
from .rigging.skin_weights import transfer_skin_weights

Progress = Callable[[float], None]

_LIMB_OF_JOINT = np.zeros(24, np.int32)
for _index, _joints in enumerate(LIMBS.values()):
    _LIMB_OF_JOINT[list(_joints)] = _index


@dataclass(frozen=True)
class Character:
    """The clothed mesh, ready for Blender and for game engines.

    ``posed`` the body; ``vertices`` (W, 3) posed, box frame; ``rest`` (W, 3) metres, SMPL's T-pose;
    ``faces`` (G, 3); ``joints`` (W, 4) uint8 and ``weights`` (W, 4) float32; ``corner_uv`` (G, 3, 2) v up;
    ``texture`` (S, S, 3) uint8 or None.
    """

    posed: PosedBody
    vertices: np.ndarray
    rest: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    corner_uv: np.ndarray
    texture: np.ndarray | None = None


def build_character(
    surface: Surface, posed: PosedBody, *, faces: int, texture_size: int, progress: Progress
) -> Character:
    """Decimate the surface to at most ``faces`` triangles, skin it to the body's joints and unwrap it."""
    vertices, triangles = decimate(surface.vertices, surface.faces, faces)
    progress(0.2)
    metres = posed.frame.box_to_character(vertices).astype(np.float32)
    kept, triangles, _ = separate_arms(
        metres,
        triangles,
        posed.in_character(),
        posed.faces,
        posed.skinning_weights,
        posed.template,
    )
    vertices, metres = vertices[kept], metres[kept]
    progress(0.4)
    joints, weights = transfer_skin_weights(
        posed.in_character(), posed.faces, posed.skinning_weights, metres, triangles
    )
    progress(0.6)
    rest = unpose(metres, joints, weights, posed.character_transforms())
    strongest = rest.joints[triangles, 0]
    parts = _LIMB_OF_JOINT[np.median(strongest, axis=1).astype(int)]
    atlas = build_atlas(vertices, triangles, parts=parts, size=texture_size)
    progress(1.0)
    return Character(posed, vertices, rest.vertices, triangles, rest.joints, rest.weights, atlas.corner_uv)


def paint(
    surface: Surface,
    character: Character,
    photo: Photo,
    query: ColourQuery,
    *,
    texture_size: int,
    device: torch.device,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> tuple[Surface, Character]:
    """Colour the full surface's vertices and the character's texture by eq. 13.

    The network is asked at the vertices, for its colours vary slowly; the photo is asked at every texel.
    """
    colours = PhotoColours(photo.image, photo.mask, photo.window)
    normals = vertex_normals(surface.vertices, surface.faces)
    predicted = query_colours(
        surface.vertices,
        query,
        device=device,
        progress=lambda fraction: progress(0.4 * fraction),
        cancelled=cancelled,
    )
    visibility = PhotoVisibility(surface.vertices, surface.faces)
    blended = blend(surface.vertices, predicted, colours, visibility(surface.vertices, normals))
    painted = replace(surface, colors=np.round(blended * 255).astype(np.uint8))
    coarse = query_colours(character.vertices, query, device=device, cancelled=cancelled)

    def texel_colour(points: SurfacePoints) -> np.ndarray:
        seen = visibility(points.points, points.normals)
        return blend(points.points, points.interpolate(coarse), colours, seen)

    texture = bake_texture(
        character.vertices,
        character.faces,
        character.corner_uv,
        texel_colour,
        size=texture_size,
        progress=lambda fraction: progress(0.4 + 0.6 * fraction),
        cancelled=cancelled,
    )
    return painted, replace(character, texture=texture)
