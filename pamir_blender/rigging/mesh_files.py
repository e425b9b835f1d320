"""Writing plain meshes: binary PLY with vertex colours, and OBJ."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray | None = None) -> None:
    """Binary little-endian PLY: ``vertices`` (V, 3), ``faces`` (F, 3), ``colors`` (V, 3) uint8 or None."""
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property float {name}" for name, _ in fields]
    if colors is not None:
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
        header += [f"property uchar {name}" for name, _ in fields[3:]]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    points = np.empty(len(vertices), fields)
    for axis, name in enumerate("xyz"):
        points[name] = vertices[:, axis]
    if colors is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            points[name] = colors[:, channel]
    triangles = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    triangles["count"], triangles["corners"] = 3, faces
    Path(path).write_bytes(("\n".join(header) + "\n").encode() + points.tobytes() + triangles.tobytes())


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """OBJ with ``vertices`` (V, 3), six decimals, and ``faces`` (F, 3)."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (np.asarray(faces, np.int64) + 1).tolist()]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
