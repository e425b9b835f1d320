"""Pictures of people without photos: the open body painted in clothes on a plain background."""

from __future__ import annotations

import cv2
import numpy as np

SKIN, HAIR, SHIRT, TROUSERS, SHOES = (
    np.array(c, float) for c in [(222, 178, 150), (60, 40, 30), (60, 95, 160), (70, 68, 75), (40, 30, 30)]
)
LEG_JOINTS, FOOT_JOINTS, BARE_JOINTS = (0, 1, 2, 4, 5), (7, 8, 10, 11), (12, 15, 18, 19, 20, 21, 22, 23)


def natural_pose() -> np.ndarray:
    """(24, 3) axis-angle: arms hanging a little away from the body, one knee bent a little."""
    pose = np.zeros((24, 3), np.float32)
    pose[16, 2], pose[17, 2] = -1.15, 1.15
    pose[18, 1], pose[19, 1] = -0.25, 0.25
    pose[1, 0], pose[4, 0] = -0.25, 0.35
    return pose


class Painter:
    """Paints the open body by drawing its shaded triangles back to front."""

    def __init__(self) -> None:
        import torch

        from pamir_blender.body.load import load_body_model

        self._torch = torch
        self._model = load_body_model()
        self.faces = self._model.faces.numpy()
        template = self._model.template.numpy()
        joint = self._model.skinning_weights.numpy().argmax(1)[self.faces[:, 0]]
        centres = template[self.faces].mean(1)
        head = joint == 15
        top = centres[head, 1].max()
        self.colours = np.tile(SHIRT, (len(self.faces), 1))
        self.colours[np.isin(joint, LEG_JOINTS)] = TROUSERS
        self.colours[np.isin(joint, FOOT_JOINTS)] = SHOES
        self.colours[np.isin(joint, BARE_JOINTS)] = SKIN
        behind = centres[:, 2] < np.median(centres[head, 2]) - 0.01
        self.colours[head & ((centres[:, 1] > top - 0.06) | (behind & (centres[:, 1] > top - 0.2)))] = HAIR

    def posed(self, pose: np.ndarray | None = None, yaw: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and joints (24, 3), metres, y up, z to the viewer, turned by ``yaw``."""
        pose = natural_pose() if pose is None else pose.copy()
        pose[0] = [0, yaw, 0]
        tensor = self._torch.from_numpy(pose)[None].float()
        with self._torch.no_grad():
            body = self._model(self._torch.zeros(1, 10), tensor)
        return body.vertices[0].numpy().astype(float), body.joints[0].numpy().astype(float)

    def paint(
        self, canvas: np.ndarray, vertices: np.ndarray, hips: tuple[float, float], pixels_per_metre: float
    ) -> np.ndarray:
        """Paint over ``canvas`` (H, W, 3) uint8, the pelvis at ``hips``; the true mask (H, W) bool."""
        fine = 2
        height, width = canvas.shape[:2]
        scale = pixels_per_metre * fine
        flat = np.stack([vertices[:, 0], -vertices[:, 1]], 1) * scale + np.array(hips) * fine
        triangles = vertices[self.faces]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        light = np.array([0.3, 0.5, 0.81])
        shade = 0.55 + 0.5 * np.clip(normals @ light, 0, 1)
        colours = np.clip(self.colours * shade[:, None], 0, 255)
        big = np.zeros((height * fine, width * fine, 3), np.uint8)
        cover = np.zeros(big.shape[:2], np.uint8)
        facing = np.flatnonzero(normals[:, 2] > 0)
        corners = np.round(flat[self.faces] * 16).astype(np.int32)
        for face in facing[np.argsort(triangles[facing, :, 2].mean(1))]:
            cv2.fillConvexPoly(big, corners[face], colours[face].tolist(), cv2.LINE_8, 4)
            cv2.fillConvexPoly(cover, corners[face], 255, cv2.LINE_8, 4)
        alpha = cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA)[..., None] / 255.0
        small = cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA)  # premultiplied: 0 outside
        canvas[:] = np.clip(small + canvas * (1 - alpha) + 0.5, 0, 255).astype(np.uint8)
        return alpha[..., 0] > 0.5


def backdrop(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: a lit wall and a floor with a little grain."""
    grain = np.random.default_rng(0).normal(0, 2.5, (height, width, 1))
    rows = np.linspace(0, 1, height)[:, None, None]
    wall = np.array([176, 186, 178]) + 25 * rows
    floor = np.array([120, 108, 96]) + 0 * rows
    return np.clip(np.where(rows < 0.8, wall, floor) + grain, 0, 255).astype(np.uint8) * np.ones(
        (1, width, 1), np.uint8
    )
