"""From a rest subject and its registered body to a posed pair: reshaping, posing, following."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import cKDTree

from .avatars import ClothedSubject
from .mouth import Mouth, find_mouth
from .poses import SampledPose
from .registration import RegisteredBody, follow_pose
from .rendering import seam_groups, vertex_normals
from .sampling import inside, thicken
from .subset_body import SubsetBody

CARD_THICKNESS = 0.006
"""Metres that open hair cards are given, so that they are solid at all."""


@dataclass(frozen=True)
class PosedSubject:
    """A clothed subject and its true body in one pose, subject frame (metres, pelvis near the origin).

    ``vertices``, ``normals`` (V, 3); ``body_vertices`` (6890, 3); ``body_scale`` metres per body metre;
    ``body_rotations`` (24, 3, 3); ``follow_error`` metres, how exactly the body follows the clothes' motion;
    ``mouth`` the pocket of air that avatars have behind their lips, None to leave it empty.
    """

    subject: ClothedSubject
    vertices: np.ndarray
    normals: np.ndarray
    betas: np.ndarray
    body_rotations: np.ndarray
    body_scale: float
    body_vertices: np.ndarray
    mode: str
    follow_error: float
    mouth: Mouth | None = None

    def is_inside(self, points: np.ndarray) -> np.ndarray:
        """(N,) bool occupancy of ``points`` (N, 3): the person is solid, hair cards are thin solids."""
        filled = self._is_filled(points)
        if self.mouth is not None:
            filled |= self.mouth.holds(points)
        return filled

    def _is_filled(self, points: np.ndarray) -> np.ndarray:
        subject = self.subject
        if not subject.sheets:
            return inside(self.vertices, subject.faces, points)
        sheet_face = np.isin(subject.part[subject.faces[:, 0]], subject.sheets)
        # Between a hair cap and the head it covers is hair, too: the raw cards vote with the closed parts...
        filled = inside(self.vertices, subject.faces, points)
        # ...and cards that hang free count by their thickness.
        used, cards = np.unique(subject.faces[sheet_face], return_inverse=True)
        merged = seam_groups(subject.vertices[used])
        first = np.unique(merged, return_index=True)[1]
        cards = merged[cards.reshape(-1, 3)]
        cards = cards[
            (cards[:, 0] != cards[:, 1]) & (cards[:, 1] != cards[:, 2]) & (cards[:, 0] != cards[:, 2])
        ]
        solid, faces = thicken(self.vertices[used][first], cards.astype(np.int32), CARD_THICKNESS)
        low, high = solid.min(0) - 0.01, solid.max(0) + 0.01
        near = np.flatnonzero(np.all((points > low) & (points < high), axis=1) & ~filled)
        if len(near):
            filled[near] = inside(solid, faces, points[near])
        return filled


def reshaped(
    subject: ClothedSubject, registered: RegisteredBody, body: SubsetBody, betas: np.ndarray
) -> tuple[ClothedSubject, RegisteredBody]:
    """The subject with its body's shape changed to ``betas`` (10,); clothes move with the nearest skin."""
    with torch.no_grad():
        rotations = torch.tensor(registered.rotations, dtype=torch.float32)[None].expand(2, -1, -1, -1)
        both = torch.tensor(np.stack([registered.betas, betas]), dtype=torch.float32)
        vertices, joints = body(both, rotations)
    shift = ((vertices[1] - vertices[0]) * registered.scale).numpy()
    joint_shift = ((joints[1] - joints[0]) * registered.scale).numpy()
    distance, index = cKDTree(registered.vertices).query(subject.vertices, k=8)
    share = np.exp(-0.5 * (distance / np.maximum(distance[:, :1], 0.012)) ** 2)
    share /= share.sum(axis=1, keepdims=True)
    moved = subject.vertices + np.einsum("nk,nkc->nc", share, shift[index])
    # The floor stays under the soles.
    drop = np.array([0, moved[:, 1].min() - subject.vertices[:, 1].min(), 0])
    return (
        replace(
            subject,
            vertices=(moved - drop).astype(np.float32),
            joints=(subject.joints + joint_shift - drop).astype(np.float32),
        ),
        replace(
            registered,
            betas=betas.astype(np.float32),
            vertices=(registered.vertices + shift - drop).astype(np.float32),
            translation=(registered.translation - drop).astype(np.float32),
        ),
    )


def pose_subject(
    subject: ClothedSubject,
    registered: RegisteredBody,
    pose: SampledPose,
    body: SubsetBody,
    fitting: SubsetBody,
) -> PosedSubject:
    """Pose clothes and body alike. ``body`` has all vertices, ``fitting`` those its pose is fitted on."""
    vertices, _ = subject.posed(pose.rotations)
    rotations, translation, error = follow_pose(registered, subject, pose.rotations[None], fitting)
    with torch.no_grad():
        points, _ = body(
            torch.tensor(registered.betas, dtype=torch.float32)[None],
            torch.tensor(rotations, dtype=torch.float32),
        )
    body_vertices = points[0].numpy() * registered.scale + translation[0]
    origin = body_vertices.mean(axis=0)
    vertices = (vertices - origin).astype(np.float32)
    return PosedSubject(
        subject=subject,
        vertices=vertices,
        normals=vertex_normals(vertices, subject.faces, seam_groups(subject.vertices)),
        betas=registered.betas,
        body_rotations=rotations[0],
        body_scale=registered.scale,
        body_vertices=(body_vertices - origin).astype(np.float32),
        mode=pose.mode,
        follow_error=error,
        mouth=find_mouth(body.template.numpy(), body_vertices - origin),
    )
