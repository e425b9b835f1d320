"""Holes in a triangle mesh: finding their rims and closing them."""

from __future__ import annotations

import numpy as np

from .mesh import open_edges


def rims(faces: np.ndarray) -> list[np.ndarray] | None:
    """The closed rims (n,) of all holes, in the direction that new faces must follow.

    None if two rims touch in a vertex, where it is not decided which way they go on.
    """
    torn = open_edges(faces)
    # A new face runs along an open edge the other way.
    following = {int(b): int(a) for a, b in torn}
    if len(following) < len(torn):
        return None
    loops = []
    while following:
        first = next(iter(following))
        loop, at = [first], following.pop(first)
        while at != first:
            loop.append(at)
            if at not in following:
                return None
            at = following.pop(at)
        loops.append(np.array(loop))
    return loops


def fill(vertices: np.ndarray, loop: np.ndarray, taken: set[tuple[int, int]]) -> list[list[int]] | None:
    """Triangles that close ``loop`` (n,) of ``vertices`` (V, 3), wound along it.

    The shortest diagonal is cut off first, which zips long thin holes up from side to side. Diagonals in
    ``taken`` (lower vertex first) are edges already; the new ones are added to it. None if no way is left.
    """
    loop = loop.tolist()
    triangles = []
    while len(loop) > 3:
        points = vertices[loop]
        length = np.linalg.norm(np.roll(points, 1, axis=0) - np.roll(points, -1, axis=0), axis=1)
        for corner in np.argsort(length, kind="stable"):
            before, after = loop[corner - 1], loop[(corner + 1) % len(loop)]
            edge = (min(before, after), max(before, after))
            if edge not in taken:
                break
        else:
            return None
        taken.add(edge)
        triangles.append([before, loop[corner], after])
        del loop[corner]
    return [*triangles, loop] if len(loop) == 3 else triangles
