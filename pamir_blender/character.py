"""The surface becomes a character: decimated, skinned, unwrapped, painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

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
class Rigged:
    """The clothed mesh on the body's skeleton.

    ``posed`` the body; ``vertices`` (W, 3) posed, box frame; ``rest`` (W, 3) metres, SMPL's T-pose;
    ``faces`` (G, 3); ``joints`` (W, 4) uint8 and ``weights`` (W, 4) float32.
    """

    posed: PosedBody
    vertices: np.ndarray
    rest: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Character(Rigged):
    """The rigged mesh ready for Blender and for game engines: ``corner_uv`` (G, 3, 2) v up, ``texture``
    (S, S, 3) uint8 or None."""

    corner_uv: np.ndarray
    texture: np.ndarray | None = None


def rig(surface: Surface, posed: PosedBody, *, faces: int, progress: Progress) -> Rigged:
    """Decimate the surface to at most ``faces`` triangles and skin it to the body's joints."""
    vertices, triangles = decimate(surface.vertices, surface.faces, faces)
    progress(0.25)
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
    progress(0.5)
    joints, weights = transfer_skin_weights(
        posed.in_character(), posed.faces, posed.skinning_weights, metres, triangles
    )
    progress(0.75)
    rest = unpose(metres, joints, weights, posed.character_transforms())
    progress(1.0)
    return Rigged(posed, vertices, rest.vertices, triangles, rest.joints, rest.weights)


def build_character(
    surface: Surface, posed: PosedBody, *, faces: int, texture_size: int, progress: Progress
) -> Character:
    """:func:`rig`, and the unwrapped atlas."""
    rigged = rig(surface, posed, faces=faces, progress=lambda fraction: progress(0.7 * fraction))
    strongest = rigged.joints[rigged.faces, 0]
    parts = _LIMB_OF_JOINT[np.median(strongest, axis=1).astype(int)]
    atlas = build_atlas(rigged.vertices, rigged.faces, parts=parts, size=texture_size)
    progress(1.0)
    return Character(**{f.name: getattr(rigged, f.name) for f in fields(Rigged)}, corner_uv=atlas.corner_uv)


WhereShown = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Box points (N, 3) and unit normals (N, 3) to where the photo shows them, their normals there, and the (N,)
bool of those that are elsewhere."""


@dataclass(frozen=True)
class ShownElsewhere:
    """Parts of a mesh that are not where the photo shows them.

    ``where`` takes their points there; ``query`` gives C' and alpha, and ``visibility`` what can be seen, of
    the body as the photo shows it: around the one that was posed, those places belong to other parts.
    """

    where: WhereShown
    query: ColourQuery
    visibility: PhotoVisibility


@dataclass(frozen=True)
class _Places:
    """Where the photo shows points of a mesh: ``points`` (N, 3) box, ``seen`` (N,) how well in [0, 1], and
    ``elsewhere`` (N,) bool, which are not where the mesh has them."""

    points: np.ndarray
    seen: np.ndarray
    elsewhere: np.ndarray


def _places(
    points: np.ndarray, normals: np.ndarray, visibility: PhotoVisibility, shown: ShownElsewhere | None
) -> _Places:
    """The places of box points (N, 3) with unit normals (N, 3)."""
    seen = visibility(points, normals)
    if shown is None:
        return _Places(points, seen, np.zeros(len(points), bool))
    places, turned, elsewhere = shown.where(points, normals)
    seen[elsewhere] = shown.visibility(places[elsewhere], turned[elsewhere])
    return _Places(places, seen, elsewhere)


def _predict(
    places: _Places,
    query: ColourQuery,
    shown: ShownElsewhere | None,
    *,
    device: torch.device,
    progress: Progress | None = None,
    cancelled: Callable[[], bool],
) -> np.ndarray:
    """C' and alpha (N, 4), each of the body that stands at its place."""
    here = query_colours(
        places.points[~places.elsewhere], query, device=device, progress=progress, cancelled=cancelled
    )
    if shown is None:
        return here
    predicted = np.empty((len(places.points), 4), np.float32)
    predicted[~places.elsewhere] = here
    predicted[places.elsewhere] = query_colours(
        places.points[places.elsewhere], shown.query, device=device, cancelled=cancelled
    )
    return predicted


def color_vertices(
    vertices: np.ndarray,
    faces: np.ndarray,
    photo: Photo,
    query: ColourQuery,
    *,
    shown: ShownElsewhere | None = None,
    device: torch.device,
    cancelled: Callable[[], bool],
) -> np.ndarray:
    """Colours (W, 3) uint8 of a mesh's vertices (W, 3), box frame, by eq. 13; ``shown`` as for `paint`."""
    normals = vertex_normals(vertices, faces)
    places = _places(vertices, normals, PhotoVisibility(vertices, faces), shown)
    predicted = _predict(places, query, shown, device=device, cancelled=cancelled)
    colours = PhotoColours(photo.image, photo.mask, photo.window)
    return np.round(blend(places.points, predicted, colours, places.seen) * 255).astype(np.uint8)


def paint(
    surface: Surface,
    character: Character,
    photo: Photo,
    query: ColourQuery,
    *,
    texture_size: int,
    shown: ShownElsewhere | None = None,
    device: torch.device,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> tuple[Surface, Character]:
    """Colour the full surface's vertices and the character's texture by eq. 13.

    The network is asked at the vertices, for its colours vary slowly; the photo is asked at every texel.
    ``shown`` says where the photo shows a point of the mesh, if that is not where the point is.
    """
    colours = PhotoColours(photo.image, photo.mask, photo.window)
    normals = vertex_normals(surface.vertices, surface.faces)
    visibility = PhotoVisibility(surface.vertices, surface.faces)
    places = _places(surface.vertices, normals, visibility, shown)
    predicted = _predict(
        places,
        query,
        shown,
        device=device,
        progress=lambda fraction: progress(0.4 * fraction),
        cancelled=cancelled,
    )
    blended = blend(places.points, predicted, colours, places.seen)
    painted = replace(surface, colors=np.round(blended * 255).astype(np.uint8))
    corner_normals = vertex_normals(character.vertices, character.faces)
    corners = _places(character.vertices, corner_normals, visibility, shown)
    coarse = _predict(corners, query, shown, device=device, cancelled=cancelled)

    def texel_colour(points: SurfacePoints) -> np.ndarray:
        texels = _places(points.points, points.normals, visibility, shown)
        return blend(texels.points, points.interpolate(coarse), colours, texels.seen)

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
