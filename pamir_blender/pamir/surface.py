"""From the implicit field F(p) = 0.5 to one clean triangle mesh (PaMIR section 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from ..contracts import Surface
from ..errors import SurfaceError
from .field import FieldSampler, Lattice, Query, sample_near_surface
from .smooth import steps_for, taubin

_HINT_SHARE = 0.003  # of the hint's points: a hand or a foot, not a stray blob
_HINT_REACH = 0.02  # box units from the hint to a piece that belongs to it


@dataclass(frozen=True)
class Extraction:
    """A surface and what it took to find it.

    ``points_evaluated`` queries of the field; ``dropped_fraction`` of the area that hung loose and was
    removed; ``components`` kept. ``outline_iou``: the silhouette's overlap with the photo's mask as the field
    has it, before the outline was moved onto the mask's; None where it was not.
    """

    surface: Surface
    points_evaluated: int
    dropped_fraction: float
    components: int
    outline_iou: float | None = None


def extract(
    query: Query,
    resolution: int = 256,
    *,
    coarse: int = 32,
    chunk: int = 16384,
    threshold: float = 0.5,
    hint: np.ndarray | None = None,
    smooth: bool = True,
    device: torch.device | str | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Extraction:
    """The surface F(p) = ``threshold``, closed, outward, its vertices in the box.

    ``query`` takes points (N, 3) float32 of the box on ``device`` and gives occupancies (N,) in [0, 1]; it is
    called with at most ``chunk`` points. ``resolution`` cells a side: any multiple of 32 up to 512.
    ``hint`` (H, 3) box points where the person is known to be, say the body's vertices: refined first, and
    pieces apart from the largest are kept if they cover part of it (a foot below a hem); without it only
    the largest is. ``smooth`` takes the grid's steps out of it.
    Raises :class:`SurfaceError` when there is no surface, :class:`Cancelled` when ``cancelled()`` turns true.
    """
    sampler = FieldSampler(
        query, threshold=threshold, chunk=chunk, device=device, progress=progress, cancelled=cancelled
    )
    lattice, cells = sample_near_surface(sampler, resolution, coarse=coarse, hint=hint)
    vertices, faces = march(lattice, cells)
    sampler.check_cancelled()
    vertices, faces, dropped, components = keep_person(vertices, faces, hint)
    if smooth:
        vertices = np.clip(taubin(vertices, faces, steps_for(resolution)), -0.5, 0.5)
    if progress is not None:
        progress(1.0)
    surface = Surface(vertices.astype(np.float32), faces.astype(np.int32))
    return Extraction(surface, sampler.points_evaluated, dropped, components)


def extract_surface(query: Query, resolution: int = 256, **options: object) -> Surface:
    """The mesh alone; arguments as for :func:`extract`."""
    return extract(query, resolution, **options).surface


def march(lattice: Lattice, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Marching cubes over the given surface cells: vertices (V, 3) box frame, faces (F, 3) outward."""
    coordinates = lattice.coordinates(cells)
    first, last = coordinates.min(0), coordinates.max(0) + 2
    crop = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    volume = np.ascontiguousarray(lattice.values.reshape((lattice.size,) * 3)[crop])
    mask = np.zeros(volume.shape, bool)
    # scikit-image asks the mask at each cell's highest corner.
    mask[tuple((coordinates - first + 1).T)] = True
    vertices, faces, _, _ = marching_cubes(volume, 0.0, mask=mask, gradient_direction="descent")
    vertices = (vertices[:, ::-1] + (first[::-1] - 1)) / lattice.cells - 0.5
    # scikit-image winds faces for (x, y, z) volumes, so (z, y, x) mirrored back to x, y, z faces outward.
    # The ring's vertices lie on the box's border.
    return np.clip(vertices, -0.5, 0.5), faces


def keep_person(
    vertices: np.ndarray, faces: np.ndarray, hint: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Drop loose pieces and inner cavities: vertices, faces, dropped share of the area, pieces kept."""
    count = len(vertices)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(count, count))
    pieces, label = connected_components(graph, directed=False)
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    face_label = label[faces[:, 0]]
    normal = np.cross(b - a, c - a)
    volume = np.bincount(face_label, np.einsum("ij,ij->i", a, normal) / 6, pieces)
    area = np.bincount(face_label, np.linalg.norm(normal, axis=1) / 2, pieces)
    keep = np.zeros(pieces, bool)
    keep[volume.argmax()] = True
    if volume.max() <= 0:
        raise SurfaceError("the network's surface encloses nothing; check the body's placement and try again")
    if hint is not None and pieces > 1:
        distance, nearest = cKDTree(vertices).query(hint, distance_upper_bound=_HINT_REACH)
        covered = np.bincount(label[nearest[np.isfinite(distance)]], minlength=pieces)
        keep |= (covered >= _HINT_SHARE * len(hint)) & (volume > 0)
    kept_faces = faces[keep[face_label]]
    used = np.zeros(count, bool)
    used[kept_faces] = True
    renumber = np.cumsum(used) - 1
    return vertices[used], renumber[kept_faces], float(area[~keep].sum() / area.sum()), int(keep.sum())
