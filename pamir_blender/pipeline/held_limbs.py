"""Limbs that the artist posed where the photo shows none.

The field believes the photo: where the picture shows background there is nobody, whatever the body says. For
a hypothesis that is right, and for a limb that somebody posed on purpose it is not. Such limbs are held: the
surface goes around the posed body there, as far from the skin as the field goes around the rest of the limb,
and its colours are looked up where the photo shows that limb. What the field still has there goes: nobody has
two left arms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..camera import CROP_SIZE, box_to_crop
from ..contracts import JOINT_NAMES, JOINT_PARENTS, LIMBS, Photo, PosedBody
from ..pamir.chunks import in_chunks
from ..pamir.field import Query
from ..pamir.outline import signed_distance
from ..rigging.mesh import vertex_normals

CLOTHES = 0.004
"""Box units from skin to surface where the field does not tell (about 1 cm)."""

REACH = 0.05
"""Box units from the posed skin within which the held limb decides; a thigh's radius is less."""

SLACK = 0.008
"""Box units beyond the clothes up to which the field keeps what is where the photo shows a held limb; it
fades over as much again."""

CLOSE = 0.006
"""Box units beyond the mask's outline up to which skin is the photo's matter: a fitted body pokes out of it
by as much (about 1.3 cm), a hand above all. From twice as far on the photo shows none of it."""

_STEPS = np.linspace(0.0, 0.02, 9, dtype=np.float32)
_EDGE = 0.0015  # box units over which the held limb's occupancy falls
_NEAREST = 4
_SMOOTH = 40  # vertices over which "the photo shows none" is averaged
_FEW = 60  # vertices that tell how far the clothes stand off


class HeldLimbs:
    """The held parts of a body.

    ``posed`` the artist's body and ``shown`` the one that the photo shows; ``limb`` (V,) in [0, 1] which
    vertices the artist moved, and ``held`` (V,) how far each is held; ``clothes`` box units from skin to
    surface.
    """

    def __init__(
        self, posed: PosedBody, shown: PosedBody, limb: np.ndarray, held: np.ndarray, clothes: float
    ) -> None:
        self.posed, self.shown = posed, shown
        self.limb, self.held, self.clothes = limb, held, clothes
        self._tree, self._shown_tree = cKDTree(posed.vertices), cKDTree(shown.vertices)
        self._normals = vertex_normals(posed.vertices, posed.faces)
        self._turns = shown.transforms[:, :3, :3] @ posed.transforms[:, :3, :3].transpose(0, 2, 1)
        places = np.concatenate([posed.vertices[held > 0], shown.vertices[limb > 0.1]])
        self._low, self._high = places.min(axis=0) - REACH, places.max(axis=0) + REACH

    @property
    def names(self) -> list[str]:
        """Which of :data:`~pamir_blender.contracts.LIMBS` are held, whole or in part."""
        owner = self.posed.skinning_weights.argmax(axis=1)
        return [limb for limb, joints in LIMBS.items() if (self.held[np.isin(owner, joints)] > 0.5).any()]

    def over(self, query: Query) -> Query:
        """The field with the held limbs added."""

        def held_query(points: Tensor) -> Tensor:
            occupancy = query(points)
            places = points.cpu().numpy()
            near = self._near(places)
            if len(near):
                index = torch.from_numpy(near).to(occupancy.device)
                inside, gone = self.change(places[near])
                limb, left = (torch.from_numpy(part).to(occupancy) for part in (inside, gone))
                occupancy = occupancy.index_copy(0, index, torch.maximum(occupancy[index] * (1 - left), limb))
            return occupancy

        return held_query

    def change(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the held limbs add at box points (N, 3), and what they take: two (N,) float32 in [0, 1].

        First the occupancy of the held limbs alone, clothed, one half on their surface; second how surely the
        photo shows a held limb there that is there no longer.
        """
        distance, weight, index = _nearest(self._tree, points)
        along = ((points[:, None] - self.posed.vertices[index]) * self._normals[index]).sum(axis=2)
        # Signed, positive outside; far from the skin the plain distance, whose sign is sure.
        skin = np.where(distance < REACH, (along * weight).sum(axis=1), distance)
        beyond = skin - self.clothes
        limb = (0.5 - 0.5 * np.tanh(beyond / (2 * _EDGE))) * self._share(self.held, distance, weight, index)
        left = np.clip(beyond / SLACK - 1, 0, 1) * self._share(self.limb, *_nearest(self._shown_tree, points))
        return limb.astype(np.float32), left.astype(np.float32)

    def where_shown(
        self, points: np.ndarray, normals: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Box points (N, 3) and normals (N, 3) moved to where the photo shows the same part of the limb.

        Third the (N,) bool whether they were moved: the others belong to no held limb and stay.
        """
        near = self._near(points)
        distance, weight, index = _nearest(self._tree, points[near])
        on_limb = self._share(self.held, distance, weight, index) > 0.5
        moved, first = np.zeros(len(points), bool), index[on_limb, 0]
        moved[near[on_limb]] = True
        turn = self._turns[self.posed.skinning_weights[first].argmax(axis=1)]
        scale = self.shown.body.placement.scale / self.posed.body.placement.scale
        offset = np.einsum("nij,nj->ni", turn, points[moved] - self.posed.vertices[first]) * scale
        places, turned = np.array(points, np.float32), np.array(normals, np.float32)
        places[moved] = self.shown.vertices[first] + offset
        turned[moved] = np.einsum("nij,nj->ni", turn, normals[moved])
        return places, turned, moved

    def _near(self, points: np.ndarray) -> np.ndarray:
        """The numbers of the points (N, 3) that are worth a closer look."""
        return np.flatnonzero(((points > self._low) & (points < self._high)).all(axis=1))

    @staticmethod
    def _share(of: np.ndarray, distance: np.ndarray, weight: np.ndarray, index: np.ndarray) -> np.ndarray:
        """(N,) the mean of a vertex quantity ``of`` (V,) at the nearest vertices; 0 beyond reach."""
        return (of[index] * weight).sum(axis=1) * (distance < REACH)


def _nearest(tree: cKDTree, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance (N,) to the nearest vertex, and weights (N, k) and numbers (N, k) of the nearest k."""
    distance, index = tree.query(points, k=_NEAREST)
    weight = 1.0 / (distance + 1e-4) ** 2
    return distance[:, 0], weight / weight.sum(axis=1, keepdims=True), index


def hold_limbs(
    photo: Photo,
    posed: PosedBody,
    shown: Callable[[], PosedBody],
    edited: Sequence[str],
    query: Query,
    *,
    device: torch.device | str | None = None,
    chunk: int = 16384,
) -> HeldLimbs | None:
    """The limbs beyond ``edited`` joints where ``posed`` has them outside the photo's mask, or None.

    ``shown`` gives the body that the photo shows, and is asked only where there is something to hold;
    ``query`` is the field of the photo and ``posed``.
    """
    chain = moved_by(edited)
    weight = posed.skinning_weights[:, chain].sum(axis=1)
    column, row = np.floor(box_to_crop(posed.vertices)).astype(int).clip(0, CROP_SIZE - 1).T
    beyond = -signed_distance(photo.crop_mask > 0.5)[row, column] / CROP_SIZE
    alone = np.clip((beyond - CLOSE) / CLOSE, 0, 1)
    limb = np.flatnonzero(weight > 0.5)
    if not len(limb) or not alone[limb].any():
        return None
    tree = cKDTree(posed.vertices[limb])
    _, around = tree.query(posed.vertices[limb], k=min(_SMOOTH, len(limb)))
    held = np.zeros(len(weight), np.float32)
    held[limb] = np.clip(2 * alone[limb][around].mean(axis=1), 0, 1)
    if not (held > 0.5).any():
        return None
    supported = limb[held[limb] < 0.2]
    return HeldLimbs(posed, shown(), weight, held, _clothes(posed, supported, query, device, chunk))


def moved_by(joints: Sequence[str]) -> list[int]:
    """The numbers of these joints and all that hang on them."""
    chosen = {JOINT_NAMES.index(name) for name in joints}
    for joint, parent in enumerate(JOINT_PARENTS):  # parents come first
        if parent in chosen:
            chosen.add(joint)
    return sorted(chosen)


def _clothes(
    posed: PosedBody, vertices: np.ndarray, query: Query, device: torch.device | str | None, chunk: int
) -> float:
    """How far from the skin the field ends, the median over ``vertices`` (N,) that it encloses."""
    if len(vertices) < _FEW:
        return CLOTHES
    normals = vertex_normals(posed.vertices, posed.faces)[vertices]
    points = posed.vertices[vertices][:, None] + normals[:, None] * _STEPS[:, None]
    flat = np.ascontiguousarray(points.reshape(-1, 3), np.float32)
    values = np.concatenate([part.float().cpu().numpy() for _, part in in_chunks(query, flat, chunk, device)])
    inside = values.reshape(len(vertices), -1) > 0.5
    enclosed = inside[inside[:, 0]]
    if len(enclosed) < _FEW:
        return CLOTHES
    last = np.where(enclosed.all(axis=1), len(_STEPS) - 1, enclosed.argmin(axis=1) - 1)
    return float(max(np.median(_STEPS[last]), 0.001))
