"""From MakeHuman's base mesh to 6890 vertices and 13776 triangles of closed skin.

Every new vertex is a fixed weighted sum of base-mesh vertices, so that one matrix carries each sculpted
shape onto the new topology. Mouth cavity and eye sockets are cut out at the lips and lids; the eyes are
closed by a patch that lies on the eyeball, the mouth by a strip between the lips.
"""

from __future__ import annotations

import igl
import numpy as np
import trimesh
from scipy import sparse

from .makehuman import BaseMesh

FACE_COUNT = 13776
VERTEX_COUNT = 6890
HIDDEN = 0.03  # a quad seeing less of the sky than this lies inside a cavity
EYE_RINGS = 4


def triangulate(quads: np.ndarray) -> np.ndarray:
    """Quads (Q, 4) to triangles (2Q, 3), the same winding."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _sky_visibility(vertices: np.ndarray, quads: np.ndarray, occluders: np.ndarray) -> np.ndarray:
    """(Q,) share of the hemisphere above each quad that no triangle of ``occluders`` covers."""
    scene = trimesh.Trimesh(vertices, occluders, process=False)
    middle = vertices[quads].mean(axis=1)
    normal = np.cross(
        vertices[quads[:, 2]] - vertices[quads[:, 0]], vertices[quads[:, 3]] - vertices[quads[:, 1]]
    )
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    start = middle + 0.02 * normal
    index = np.arange(100) + 0.5  # a Fibonacci sphere of directions
    z, angle = 1 - 2 * index / 100, np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - z**2)
    visible = np.zeros(len(quads))
    for direction in np.stack([np.cos(angle) * ring, np.sin(angle) * ring, z], axis=1):
        facing = normal @ direction > 0.05
        rays = np.tile(direction, (int(facing.sum()), 1))
        visible[facing] += ~scene.ray.intersects_any(start[facing], rays)
    return visible / 50


def _components(quads: np.ndarray) -> list[np.ndarray]:
    """Quad indices of each component connected by shared vertices, largest first."""
    rows = np.repeat(np.arange(len(quads)), 4)
    incidence = sparse.csr_matrix((np.ones(quads.size), (rows, quads.ravel())))
    count, label = sparse.csgraph.connected_components(incidence @ incidence.T)
    groups = [np.flatnonzero(label == i) for i in range(count)]
    return sorted(groups, key=len, reverse=True)


def _boundary_loop(faces: np.ndarray) -> np.ndarray:
    """The single boundary loop of the removed patch, ordered as its remaining neighbours need it."""
    edges = np.concatenate([faces[:, [i, (i + 1) % faces.shape[1]]] for i in range(faces.shape[1])])
    present = {tuple(edge) for edge in edges.tolist()}
    follow = {a: b for a, b in present if (b, a) not in present}
    start = min(follow)
    loop = [start]
    while follow[loop[-1]] != start:
        loop.append(follow[loop[-1]])
    if len(loop) != len(follow):
        raise SystemExit("A cavity of the base mesh has more than one rim; the build cannot close it.")
    return np.array(loop)


def _zip(loop: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Triangles between the upper and lower half of a lip loop, in the loop's own direction."""
    x = vertices[loop, 0]
    loop = np.roll(loop, -int(np.argmin(x)))
    turn = int(np.argmax(vertices[loop, 0]))
    first, second = loop[: turn + 1], np.concatenate([loop[turn:], loop[:1]])[::-1]
    triangles, i, j = [], 0, 0
    while i + 1 < len(first) or j + 1 < len(second):
        step_first = j + 1 == len(second) or (
            i + 1 < len(first) and vertices[first[i + 1], 0] <= vertices[second[j + 1], 0]
        )
        if step_first:
            triangles.append([first[i], first[i + 1], second[j]])
            i += 1
        else:
            triangles.append([first[i], second[j + 1], second[j]])
            j += 1
    return np.array([t for t in triangles if len(set(t)) == 3])


def _closest_weights(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertex ids (P, 3) and barycentric weights (P, 3) of the closest surface points."""
    _, face, closest = igl.point_mesh_squared_distance(points, vertices, faces)
    corners = vertices[faces[face]]
    weights = trimesh.triangles.points_to_barycentric(corners, closest)
    weights = np.clip(np.nan_to_num(weights), 0, 1)
    return faces[face], weights / weights.sum(axis=1, keepdims=True)


def closed_skin(base: BaseMesh, vertices: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The base mesh's body without cavities: (K, N) weights over base vertices, and triangles.

    ``vertices`` (N, 3): the average adult on the base mesh, which decides what is hidden.
    """
    quads = base.groups["body"]
    eyes = [triangulate(base.groups[f"helper-{side}-eye"]) for side in "lr"]
    visibility = _sky_visibility(vertices, quads, np.concatenate([triangulate(quads), *eyes]))
    hidden = np.flatnonzero(visibility < HIDDEN)
    mouth, *sockets = [hidden[part] for part in _components(quads[hidden])[:3]]
    kept = np.setdiff1d(np.arange(len(quads)), np.concatenate([mouth, *sockets]))
    faces = [triangulate(quads[kept]), _zip(_boundary_loop(quads[mouth]), vertices)]
    count = len(vertices)
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for socket in sockets:
        loop = _boundary_loop(quads[socket])
        middle = vertices[loop].mean(axis=0)
        eye = eyes[0] if middle[0] > 0 else eyes[1]
        pole = middle + np.array([0, 0, 0.3])
        previous = loop
        for ring in range(1, EYE_RINGS):
            points = vertices[loop] + (pole - vertices[loop]) * ring / EYE_RINGS
            rows.append(_closest_weights(points, vertices, eye))
            new = np.arange(count, count + len(loop))
            count += len(loop)
            a, b, c, d = previous, np.roll(previous, -1), np.roll(new, -1), new
            faces += [np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]
            previous = new
        rows.append(_closest_weights(pole[None], vertices, eye))
        faces.append(np.stack([previous, np.roll(previous, -1), np.full(len(loop), count)], axis=1))
        count += 1
    extra_ids = np.concatenate([ids for ids, _ in rows])
    extra_weights = np.concatenate([weights for _, weights in rows])
    extra = sparse.csr_matrix(
        (extra_weights.ravel(), (np.repeat(np.arange(len(extra_ids)), 3), extra_ids.ravel())),
        shape=(len(extra_ids), len(vertices)),
    )
    matrix = sparse.vstack([sparse.identity(len(vertices), format="csr"), extra]).tocsr()
    triangles = np.concatenate(faces)
    used, compact = np.unique(triangles, return_inverse=True)
    return matrix[used], compact.reshape(triangles.shape)


def decimate(warped: np.ndarray, faces: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Exactly 13776 triangles: (6890, K) weights over the input's vertices, and the faces.

    ``warped`` (K, 3): the skin with the regions that need detail enlarged (:func:`enlarge_details`);
    ``igl.decimate`` collapses short edges first, so enlarged regions keep theirs.
    """
    points, small, _, _ = igl.decimate(warped, faces, FACE_COUNT)
    ids, weights = _closest_weights(points, warped, faces)
    rows = np.repeat(np.arange(len(points)), 3)
    matrix = sparse.csr_matrix((weights.ravel(), (rows, ids.ravel())), shape=(len(points), len(warped)))
    if len(points) != VERTEX_COUNT or len(small) != FACE_COUNT:
        raise SystemExit(f"Decimation gave {len(points)} vertices and {len(small)} faces.")
    return matrix, small


def _smoothstep(values: np.ndarray) -> np.ndarray:
    t = np.clip(values, 0, 1)
    return t * t * (3 - 2 * t)


def enlarge_details(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Blow up head, face, hands and feet of the T-posed skin (metres), for :func:`decimate` only."""
    out = vertices.copy()
    plan = [  # joint, direction away from the body, metres to reach the full factor, factor
        (15, np.array([0.0, 1, 0]), 0.05, 2.1),
        (20, np.array([1.0, 0, 0]), 0.04, 2.5),
        (21, np.array([-1.0, 0, 0]), 0.04, 2.5),
        (7, np.array([0.0, -1, 0]), 0.03, 1.5),
        (8, np.array([0.0, -1, 0]), 0.03, 1.5),
    ]
    for joint, direction, reach, factor in plan:
        centre = joints[joint]
        t = (vertices - centre) @ direction / reach
        if joint in (7, 8):  # only this side's foot
            t = np.where(np.sign(vertices[:, 0]) == np.sign(centre[0]), t, 0)
        gain = 1 + (factor - 1) * _smoothstep(t)
        out = np.where(t[:, None] > 0, centre + gain[:, None] * (out - centre), out)
    # The face, more than the back of the head.
    head = _smoothstep((vertices[:, 1] - joints[15, 1] + 0.04) / 0.04)
    front = head * _smoothstep((vertices[:, 2] - joints[15, 2]) / 0.06)
    centre = np.array([0, joints[15, 1] + 0.04, joints[15, 2]])
    return np.where(front[:, None] > 0, out + 1.6 * front[:, None] * (out - centre), out)
