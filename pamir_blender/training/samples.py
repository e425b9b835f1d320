"""One posed subject written out as training samples: its points, and its views with estimated bodies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree

from ..pamir.voxelise import voxelise_occupancy
from . import sampling
from .body_parameters import parameters_of
from .depth_shift import nearest_vertices, to_shares
from .estimates import estimated_bodies
from .exposed import exposed_faces
from .poses import euler
from .rendering import Renderer, View, random_light
from .storage import BOX_STEP, METRES_STEP, pack_volume, to_counts, write_arrays
from .subjects import PosedSubject
from .subset_body import SubsetBody


@dataclass(frozen=True)
class SampleOptions:
    """How much is stored of every posed subject."""

    yaws: int = 8
    estimates: int = 2
    surface: int = 12000
    fine: int = 18000
    near: int = 14000
    tight: int = 8000
    uniform: int = 8000
    meshes: bool = False


def write_points(
    path: Path, posed: PosedSubject, rng: np.random.Generator, options: SampleOptions
) -> tuple[sampling.SurfaceSamples, dict[str, float], np.ndarray]:
    """Write a posed subject's view-independent part.

    Returns its surface samples, the occupied share per kind, and the faces (F', 3) of the true surface.
    """
    subject = posed.subject
    outside = exposed_faces(posed)
    surface = sampling.sample_surface(
        rng, posed.vertices, outside, posed.normals, subject.uv, subject.texture, options.surface
    )
    bounds = np.stack([posed.vertices.min(axis=0), posed.vertices.max(axis=0)])
    counts = {
        sampling.FINE: options.fine,
        sampling.NEAR: options.near,
        sampling.TIGHT: options.tight,
        sampling.UNIFORM: options.uniform,
    }
    points, kinds = sampling.query_points(rng, surface, bounds, 0.8 / max(np.ptp(bounds[:, 1]), 1.2), counts)
    # What is stored is what is tested: the points are rounded before their occupancy is found.
    counted = to_counts(points, METRES_STEP)
    points = counted.astype(np.float32) * METRES_STEP
    occupancy = posed.is_inside(points)
    tree = cKDTree(posed.body_vertices)
    index, weight = nearest_vertices(tree, points)
    surface_index, surface_weight = nearest_vertices(tree, surface.points)
    write_arrays(
        path,
        {
            "points": counted,
            "occupancy": np.packbits(occupancy),
            "kind": kinds,
            "nearest": index.astype(np.uint16),
            "nearest_weight": to_shares(weight),
            "surface": to_counts(surface.points, METRES_STEP),
            "surface_normals": np.round(surface.normals * 127).astype(np.int8),
            "surface_colors": surface.colors,
            "surface_nearest": surface_index.astype(np.uint16),
            "surface_nearest_weight": to_shares(surface_weight),
            "body": to_counts(posed.body_vertices, METRES_STEP),
            "bounds": bounds.astype(np.float32),
        },
    )
    shares = {str(kind): float(occupancy[kinds == kind].mean()) for kind in counts}
    return surface, shares, outside


def random_view(rng: np.random.Generator, posed: PosedSubject, number: int, total: int) -> tuple[View, dict]:
    """A camera about the person: half the yaws near the front, small pitch and roll, framed like a photo."""
    yaw = rng.normal(0, 28) if number < total // 2 else rng.uniform(-180, 180)
    pitch, roll = np.clip(rng.normal(0, 5), -14, 14), np.clip(rng.normal(0, 1.5), -4, 4)
    rotation = euler(pitch, 0, 0) @ euler(0, yaw, 0)
    rotation = euler(0, 0, roll) @ rotation
    turned = posed.vertices @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    extent = high - low
    share = np.clip(rng.normal(0.80, 0.04), 0.70, 0.90)
    scale = min(share / extent[1], 0.92 / max(extent[0], 1e-3), 0.92 / max(extent[2], 1e-3))
    centre = (low + high) / 2
    shift = np.clip(rng.normal(0, 0.015, 2), -0.03, 0.03)
    room = np.maximum(0.49 - extent[:2] * scale / 2, 0)
    shift = np.clip(shift, -room, room)
    body_depth = float((posed.body_vertices @ rotation[2]).mean())
    translation = np.array(
        [
            shift[0] - centre[0] * scale,
            shift[1] - centre[1] * scale,
            rng.normal(0, 0.012) - body_depth * scale,
        ]
    )
    view = View(rotation, float(scale), translation, random_light(rng))
    return view, {"yaw_deg": float(yaw), "pitch_deg": float(pitch), "roll_deg": float(roll)}


def write_view(
    stem: Path,
    posed: PosedSubject,
    view: View,
    visible: np.ndarray,
    renderer: Renderer,
    body: SubsetBody,
    faces: torch.Tensor,
    rng: np.random.Generator,
    options: SampleOptions,
) -> dict:
    """Render one view (the mesh must be loaded in ``renderer``) and write picture, bodies and volumes.

    ``visible`` (M,) says which of the stored surface samples this view shows.
    """
    picture = renderer.draw(view)
    true_body = view.to_box(posed.body_vertices).astype(np.float32)
    severities = [
        rng.uniform(0.15, 0.65) if k % 2 == 0 else rng.uniform(0.5, 1.2) for k in range(options.estimates)
    ]
    estimates = estimated_bodies(
        rng,
        body,
        posed.betas,
        posed.body_rotations,
        true_body,
        view.rotation,
        posed.body_scale * view.scale,
        severities,
    )
    bodies = np.stack([true_body] + [estimate.vertices for estimate in estimates])
    volumes = voxelise_occupancy(torch.from_numpy(bodies), faces)[:, 0].numpy()
    turned = posed.body_rotations.copy()
    turned[0] = view.rotation @ turned[0]
    true_row = parameters_of(body, posed.betas, turned, posed.body_scale * view.scale, true_body)
    arrays = {
        "estimates": to_counts(bodies[1:], BOX_STEP),
        "parameters": np.stack([true_row] + [estimate.parameters for estimate in estimates]),
        "rotation": view.rotation.astype(np.float32),
        "scale": np.float32(view.scale),
        "translation": view.translation.astype(np.float32),
        "light": view.light.astype(np.float32),
        "visible": np.packbits(visible),
    }
    arrays |= {f"volume{k}": pack_volume(volume) for k, volume in enumerate(volumes)}
    if not cv2.imwrite(
        str(stem.with_suffix(".png")), picture[..., [2, 1, 0, 3]], [cv2.IMWRITE_PNG_COMPRESSION, 3]
    ):
        raise OSError(f"{stem.with_suffix('.png')} could not be written; is the disk full?")
    write_arrays(stem.with_suffix(".npz"), arrays)
    return {
        "scale": float(view.scale),
        "rotation": view.rotation.tolist(),
        "translation": view.translation.tolist(),
        "severity": [estimate.severity for estimate in estimates],
        "body_error_m": [estimate.depth_error + estimate.plane_error for estimate in estimates],
        "depth_error_m": [estimate.depth_error for estimate in estimates],
        "plane_error_m": [estimate.plane_error for estimate in estimates],
    }
