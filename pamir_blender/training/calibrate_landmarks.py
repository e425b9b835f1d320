"""Find where on the open body the detector puts its landmarks, and write ``models/landmark_regressor.npz``.

    python -m pamir_blender.training.calibrate_landmarks [--count 400] [--out FILE]

Open bodies of many shapes and poses, painted with skin, hair and clothes, are rendered and shown to the
real detector. Each landmark is a point carried by fixed joints (``body/landmarks.py``), so its place in
T-pose follows from the detections by robust linear least squares. Needs the ``train`` extra and the
detector's files.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch

from ..body.landmarks import (
    LANDMARK_FILE,
    LANDMARK_FORMAT,
    LANDMARK_NAMES,
    facing,
    landmark_weights,
    part_boxes,
    shapedirs_near,
)
from ..body.load import load_body_model
from ..body.model import BodyModel
from ..camera import CROP_SIZE, crop_to_box
from ..contracts import LANDMARK_MIRROR
from ..photo.detect import Detector
from .poses import sample_pose
from .rendering import Renderer, View, random_light, vertex_normals

SEED = 7
ROUNDS = 12

_FRAME = [11, 12, 23, 24, 25, 26, 27, 28]  # shoulders, hips, knees, ankles: what a lean is seen by


def paint(model: BodyModel, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Skin, hair, shirt, trousers, shoes: (F,) palette entries per face, and the palette (6, 3) uint8."""
    template, faces = model.template.numpy(), model.faces.numpy()
    owner = model.skinning_weights.numpy().argmax(axis=1)[faces[:, 0]]
    middle, joints = template[faces].mean(axis=1), model.joint_template.numpy()
    part = np.zeros(len(faces), dtype=int)
    head = owner == 15
    top, front = template[:, 1].max(), joints[15, 2]
    crown = middle[:, 1] > top - rng.uniform(0.05, 0.075)
    back = (middle[:, 2] < front + 0.01) & (middle[:, 1] > joints[15, 1] + rng.uniform(0, 0.06))
    part[head & (crown | back)] = 1
    eye_line = joints[15, 1] + 0.042
    eyes = head & (np.abs(middle[:, 1] - eye_line) < 0.006) & (np.abs(np.abs(middle[:, 0]) - 0.031) < 0.012)
    brows = head & (np.abs(middle[:, 1] - eye_line - 0.017) < 0.004) & (np.abs(middle[:, 0]) > 0.014)
    part[(eyes | (brows & (np.abs(middle[:, 0]) < 0.048))) & (middle[:, 2] > front)] = 5
    sleeve = rng.uniform(0.3, 0.65)
    torso = np.isin(owner, (0, 3, 6, 9, 13, 14, 16, 17, 18, 19)) & (np.abs(middle[:, 0]) < sleeve)
    part[torso & (middle[:, 1] < joints[12, 1] - 0.03)] = 2
    hem = rng.choice([-0.3, -0.75, -0.9])
    part[np.isin(owner, (0, 1, 2, 4, 5)) & (middle[:, 1] < 0.02) & (middle[:, 1] > hem)] = 3
    part[np.isin(owner, (7, 8, 10, 11)) & (middle[:, 1] < joints[7, 1] + 0.02)] = 4
    skin = np.array([235, 195, 165]) * rng.uniform(0.45, 1.0)
    palette = rng.uniform(20, 235, (6, 3))
    palette[0] = skin
    palette[1] = rng.uniform(15, 110) * np.array([1.0, 0.85, 0.7])
    palette[5] = 30
    return part, palette.astype(np.uint8)


def _views(count: int, model: BodyModel, detector: Detector) -> dict[str, np.ndarray]:
    """Detections on ``count`` renders: betas, rotations, view rotation, scale, shift, landmarks."""
    rng = np.random.default_rng(SEED)
    faces = model.faces.numpy()
    corner = np.arange(faces.size).reshape(-1, 3)
    rows: list[dict[str, np.ndarray]] = []
    with Renderer() as renderer:
        for index in range(count):
            betas = np.clip(rng.normal(size=10), -2, 2)
            joints = model.rest_joints(torch.tensor(betas, dtype=torch.float32)[None])[0].numpy()
            rotations = sample_pose(rng, joints.astype(float)).rotations
            with torch.no_grad():
                body = model(
                    torch.tensor(betas, dtype=torch.float32)[None],
                    torch.tensor(rotations, dtype=torch.float32)[None],
                )
            vertices = body.vertices[0].numpy().astype(float)
            part, palette = paint(model, rng)
            yaw = rng.normal(0, 0.6) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
            turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
            seen = vertices @ turn.T
            low, high = seen.min(axis=0), seen.max(axis=0)
            scale = 0.8 / max(high[1] - low[1], (high[0] - low[0]) * 0.9)
            shift = -scale * (low + high) / 2
            normals = vertex_normals(vertices, faces)
            uv = np.stack([(part[:, None].repeat(3, 1).ravel() + 0.5) / 6, np.full(faces.size, 0.5)], axis=1)
            renderer.load(vertices[faces].reshape(-1, 3), normals[faces].reshape(-1, 3), uv, corner)
            renderer.load_texture(palette[None].repeat(8, axis=1).repeat(8, axis=0))
            rgba = renderer.draw(View(turn, scale, shift, random_light(rng)))
            alpha = rgba[..., 3:] / 255
            image = (rgba[..., :3] * alpha + rng.uniform(60, 255, 3) * (1 - alpha)).astype(np.uint8)
            people = detector.people(image)
            if not people:
                continue
            pose, spread = detector.refine(image, people[0])
            rows.append(
                {
                    "betas": betas, "rotations": rotations, "turn": turn, "scale": np.array(scale),
                    "shift": shift, "image": crop_to_box(pose.image), "world": pose.world,
                    "visibility": pose.visibility, "spread": spread,
                }
            )  # fmt: skip
            if index % 50 == 49:
                print(f"{index + 1} renders, {len(rows)} detected", flush=True)
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def _solve(
    data: dict[str, np.ndarray], model: BodyModel, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Landmark positions (33, 3) in the mean T-pose, and each landmark's median 2D error in metres."""
    with torch.no_grad():
        _, transforms = model.pose_joints(
            torch.tensor(data["betas"], dtype=torch.float32),
            torch.tensor(data["rotations"], dtype=torch.float32),
        )
    blend = np.einsum("lj,njab->nlab", weights, transforms.numpy()[:, :, :3].astype(float))
    # Metres on the picture: (image - shift) / scale = first two rows of turn @ (R p + t).
    camera = np.einsum("nab,nlbc->nlac", data["turn"], blend)[:, :, :2]
    seen = (data["image"] - data["shift"][:, None, :2]) / data["scale"][:, None, None]
    upright = np.linalg.norm(seen[:, 11:13].mean(1) - seen[:, 23:25].mean(1), axis=1) > 0.25
    position = np.zeros((33, 3))
    error = np.full((len(seen), 33), np.nan)
    # Start from the carriers' joints, so that shapedirs come from the right skin in the first round.
    position = weights @ model.joint_template.numpy().astype(float)
    for _ in range(ROUNDS):
        shapedirs = shapedirs_near(position, model, weights)
        shape = np.einsum("lcs,ns->nlc", shapedirs, data["betas"])
        for index in range(33):
            matrix, target = camera[:, index, :, :3], seen[:, index] - camera[:, index, :, 3]
            target = target - np.einsum("nab,nb->na", matrix, shape[:, index])
            residual = np.linalg.norm(np.einsum("nab,b->na", matrix, position[index]) - target, axis=1)
            error[:, index] = residual
            share = upright * np.clip(data["visibility"][:, index], 0, 1) ** 2
            share = share / (1 + (residual / 0.02) ** 2)  # Cauchy: wrong detections hardly count
            gram = np.einsum("n,nab,nac->bc", share, matrix, matrix) + 1e-3 * np.eye(3)
            start = 1e-3 * position[index]
            position[index] = np.linalg.solve(gram, np.einsum("n,nab,na->b", share, matrix, target) + start)
        position = (position + position[LANDMARK_MIRROR] * [-1, 1, 1]) / 2  # people are as good as symmetric
    visible = np.where((data["visibility"] > 0.5) & upright[:, None], error, np.nan)
    return position, np.nanmedian(visible, axis=0)


def _true_metres(
    data: dict[str, np.ndarray], model: BodyModel, position: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Where the landmarks truly are about the hips' middle, in the camera's directions: (N, 33, 3) metres."""
    with torch.no_grad():
        _, transforms = model.pose_joints(
            torch.tensor(data["betas"], dtype=torch.float32),
            torch.tensor(data["rotations"], dtype=torch.float32),
        )
    rest = position + np.einsum("lcs,ns->nlc", shapedirs_near(position, model, weights), data["betas"])
    blend = np.einsum("lj,njab->nlab", weights, transforms.numpy()[:, :, :3].astype(float))
    true = np.einsum("nlab,nlb->nla", blend[..., :3], rest) + blend[..., 3]
    return np.einsum("nab,nlb->nla", data["turn"], true - true[:, 23:25].mean(axis=1, keepdims=True))


def hunch_of(world: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(33,) metres that detections ``world`` (N, 33, 3) lie ahead of ``true`` (N, 33, 3) in depth.

    One lean of the whole is taken out of each first: the fit leaves that free. Behind a person seen from
    the back, ahead is away from the viewer. Weighted medians, the same for left and right.
    """
    seen, meant = world[:, _FRAME, 1:], true[:, _FRAME, 1:]
    lean = np.arctan2(
        (meant[..., 0] * seen[..., 1] - meant[..., 1] * seen[..., 0]).sum(axis=1),
        (meant * seen).sum(axis=(1, 2)),
    )
    leaned = true[..., 1] * np.sin(lean)[:, None] + true[..., 2] * np.cos(lean)[:, None]
    ahead, cosine = world[..., 2] - leaned, facing(world)
    ahead = (ahead + ahead[:, LANDMARK_MIRROR]) / 2
    lost = np.linalg.norm((world - true)[:, _FRAME, :2], axis=-1).max(axis=1) > 0.25
    share = np.where(lost, 0, cosine**2)
    cosine = np.where(np.abs(cosine) < 0.1, np.inf, cosine)
    return np.array([_weighted_median(ahead[:, index] / cosine, share) for index in range(33)])


def _weighted_median(values: np.ndarray, share: np.ndarray) -> float:
    order = np.argsort(values)
    below = np.cumsum(share[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])


def _report_world(world: np.ndarray, true: np.ndarray) -> None:
    """Print how the detector's metres compare with the bodies' own."""
    scale = np.median((true * world).sum((1, 2)) / (world**2).sum((1, 2)))
    gap = np.abs(world * scale - true)
    print(f"world landmarks: best scale {scale:.3f}; median error x {np.median(gap[..., 0]) * 1000:.0f}, "
          f"y {np.median(gap[..., 1]) * 1000:.0f}, z {np.median(gap[..., 2]) * 1000:.0f} mm")  # fmt: skip


def main() -> None:
    """Render, detect, solve, report, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--out", type=Path, default=LANDMARK_FILE)
    parser.add_argument("--cache", type=Path, help="keep the detections in this .npz, or use those in it")
    options = parser.parse_args()
    model, weights = load_body_model(), landmark_weights()
    if options.cache and options.cache.exists():
        with np.load(options.cache) as stored:
            data = dict(stored)
    else:
        data = _views(options.count, model, Detector(threads=1))
        if options.cache:
            np.savez_compressed(options.cache, **data)
    position, spread = _solve(data, model, weights)
    for name, point, error in zip(LANDMARK_NAMES, position, spread, strict=True):
        print(f"{name:18s} {np.round(point, 3)}  median 2D error {error * 1000:.0f} mm")
    true = _true_metres(data, model, position, weights)
    _report_world(data["world"], true)
    hunch = hunch_of(data["world"], true)
    for index in (0, 7, 11, 13, 15, 25, 27, 29, 31):
        print(f"{LANDMARK_NAMES[index]:18s} ahead by {hunch[index] * 1000:.0f} mm")
    np.savez_compressed(
        options.out,
        format=np.array(LANDMARK_FORMAT),
        template=position.astype(np.float32),
        spread=spread.astype(np.float32),
        hunch=hunch.astype(np.float32),
        joints=model.joint_template.numpy(),
        **{f"box_{name}": box.astype(np.float32) for name, box in part_boxes(model).items()},
    )
    digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
    print(f"{options.out}: {len(data['betas'])} detections at {CROP_SIZE} px, sha256 {digest}")


if __name__ == "__main__":
    main()
