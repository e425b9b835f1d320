"""Build ``models/open_body.npz``: a body in SMPL's format from MakeHuman's CC0 data.

Run from the project's root with the ``train`` extra installed: ``python models/build_open_body.py``.
It takes a few minutes, is deterministic, and prints the quality figures that ``open_body.md`` quotes.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import trimesh

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "models")]

from open_body_build import correctives, makehuman, rest_pose, shapes, topology  # noqa: E402

AVERAGE = {
    "male": 0.5, "old": 0.15, "muscle": 0.5, "weight": 0.5, "height": 0.5, "proportions": 0.5, "cup": 0.5,
    "firmness": 0.5, "african": 1.0, "asian": 1.0, "caucasian": 1.0,
}  # fmt: skip
SEED = 20261101


class Sculptor:
    """MakeHuman's adults as T-posed skins on the closed topology."""

    def __init__(self) -> None:
        data = makehuman.data_folder()
        self.base = makehuman.load_base_mesh(data)
        self.targets = makehuman.Targets(data, len(self.base.vertices))
        count = len(self.base.vertices)
        self.joint_matrix = rest_pose.joint_matrix(self.base, count)
        self.knuckles = {
            side: [self.base.joint_cube(f"joint-{side[0]}-finger-{finger}-1") for finger in (2, 5)]
            for side in ("left", "right")
        }
        average = self.sculpt(AVERAGE)
        self.skin, self.faces = topology.closed_skin(self.base, average * 10)
        rig = rest_pose.smpl_weights(makehuman.load_rig_weights(data), count)
        smooth = rest_pose.smooth_weights(
            self.skin @ rig, self.faces, self.skin @ average, self.joint_matrix @ average
        )
        self.weights = rest_pose.keep_four(smooth)

    def sculpt(self, phenotype: dict[str, float]) -> np.ndarray:
        """(N, 3) metres in MakeHuman's A-pose."""
        return (self.base.vertices + self.targets.offsets(makehuman.macro_blend(phenotype))) / 10

    def solve_height(self, person: dict[str, float]) -> dict[str, float]:
        """The same person with ``height`` chosen for the wanted stature."""

        def stature(height: float) -> float:
            y = self.sculpt({**person, "height": height})[:13380, 1]
            return float(y.max() - y.min())

        steps = [0.0, 0.5, 1.0]
        return {**person, "height": float(np.interp(person["stature"], [stature(s) for s in steps], steps))}

    def t_pose(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """T-posed skin (K, 3) and joints (24, 3), pelvis at the origin."""
        joints = self.joint_matrix @ vertices
        knuckles = {
            side: np.stack([vertices[ids].mean(axis=0) for ids in pair])
            for side, pair in self.knuckles.items()
        }
        rotations = rest_pose.t_pose_rotations(joints, knuckles)
        skin, joints = rest_pose.to_t_pose(self.skin @ vertices, joints, self.weights, rotations)
        return skin - joints[0], joints - joints[0]


def quantise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int16 with one float32 scale per last-axis column; zero columns get scale 0."""
    scale = np.abs(values).max(axis=(0, 1)) / 4095  # 12 bits compress well and lose microns
    safe = np.where(scale > 0, scale, 1)
    return np.round(values / safe).astype(np.int16), scale.astype(np.float32)


def main() -> None:
    """Build, report, write."""
    start = time.perf_counter()
    rng = np.random.default_rng(SEED)
    sculptor = Sculptor()
    skin, joints = sculptor.t_pose(sculptor.sculpt(AVERAGE))
    small, faces = topology.decimate(topology.enlarge_details(skin, joints), sculptor.faces)
    weights = rest_pose.keep_four(small @ sculptor.weights)
    print(f"topology: {small.shape[0]} vertices, {len(faces)} faces, {time.perf_counter() - start:.0f} s")

    people = shapes.sample_phenotypes(shapes.SAMPLES + shapes.HELD_OUT, rng)
    posed = [sculptor.t_pose(sculptor.sculpt(sculptor.solve_height(person))) for person in people]
    bodies = np.stack([small @ body for body, _ in posed])
    all_joints = np.stack([joints for _, joints in posed])
    train, test = slice(0, shapes.SAMPLES), slice(shapes.SAMPLES, None)
    mean, components = shapes.principal_shapes(bodies[train])
    basis = components.reshape(-1, shapes.BETAS)
    flat = (bodies - mean).reshape(len(bodies), -1)
    betas = np.linalg.lstsq(basis, flat.T, rcond=None)[0].T
    error = np.linalg.norm((flat - betas @ basis.T).reshape(bodies.shape), axis=2)[test] * 1000
    print(f"shape space: held-out error mean {error.mean():.2f} mm, p95 {np.percentile(error, 95):.2f} mm")
    print("betas' standard deviation, held out:", np.round(betas[test].std(axis=0), 2))
    stature = bodies[..., 1].max(axis=1) - bodies[..., 1].min(axis=1)
    print(f"stature {stature.mean():.3f} +- {stature.std():.3f} m; beta 0 against stature: "
          f"correlation {np.corrcoef(betas[:, 0], stature)[0, 1]:.3f}")  # fmt: skip

    regressor = shapes.regress_joints(bodies[train][::3], all_joints[train][::3], weights)
    joint_error = np.linalg.norm(regressor @ bodies[test] - all_joints[test], axis=2) * 1000
    used = (regressor > 0).sum(axis=1)
    print("joints: mean error each, mm:", np.round(joint_error.mean(axis=0), 1).tolist())
    print(f"joints: error mean {joint_error.mean():.2f} mm, max of a joint's mean "
          f"{joint_error.mean(axis=0).max():.2f} mm; non-zeros a row {used.min()}-{used.max()}")  # fmt: skip

    posedirs, report = correctives.fit_correctives(mean, regressor @ mean, weights, rng)
    print("pose correctives:", {key: round(value, 3) for key, value in report.items()})
    packed, scale = quantise(posedirs)
    loss = np.abs(packed * scale - posedirs).max() * 1000
    print(f"posedirs: {np.mean(packed != 0):.3f} of the elements non-zero, quantised within {loss:.3f} mm")

    order = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    rows, columns = np.nonzero(regressor)
    mesh = trimesh.Trimesh(mean, faces, process=False)
    print(f"template: watertight {mesh.is_watertight}, Euler number {mesh.euler_number}, "
          f"volume {mesh.volume * 1000:.1f} l")  # fmt: skip
    path = ROOT / "models" / "open_body.npz"
    np.savez_compressed(
        path,
        format=np.array("pamir-open-body-1"),
        template=mean.astype(np.float32),
        faces=faces.astype(np.uint16),
        shapedirs=components.astype(np.float16),
        posedirs=packed,
        posedirs_scale=scale,
        regressor_rows=rows.astype(np.uint8),
        regressor_columns=columns.astype(np.uint16),
        regressor_values=regressor[rows, columns].astype(np.float32),
        weight_joints=order.astype(np.uint8),
        weight_values=np.take_along_axis(weights, order, axis=1).astype(np.float32),
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, sha256 {digest}")


if __name__ == "__main__":
    main()
