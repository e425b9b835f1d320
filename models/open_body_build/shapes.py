"""Adults to learn the shape space from, and the space itself."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

SAMPLES = 1080
HELD_OUT = 120
BETAS = 10


def sample_phenotypes(count: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """Adults between 18 and 80: sex bimodal, the rest spread around MakeHuman's average.

    ``stature`` (metres) is normal per sex, 1.63 and 1.76 m with 7 cm; ``height`` is solved for it later.
    """
    people = []
    for _ in range(count):
        male = float(rng.random() < 0.5)
        sex = abs(male - abs(rng.normal(0, 0.12)))
        races = rng.dirichlet([0.8, 0.8, 0.8])
        people.append(
            {
                "male": sex,
                "old": float(np.clip(rng.beta(1.1, 2.2), 0, 0.85)),
                "muscle": float(np.clip(rng.normal(0.48 + 0.1 * (sex - 0.5), 0.18), 0, 1)),
                "weight": float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
                "proportions": float(rng.uniform(0.25, 0.85)),
                "cup": float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
                "firmness": float(rng.uniform(0.2, 0.8)),
                "african": races[0] + 1e-3, "asian": races[1] + 1e-3, "caucasian": races[2] + 1e-3,
                "height": 0.5,
                "stature": float(rng.normal(1.63 + 0.13 * sex, 0.07)),
            }
        )  # fmt: skip
    return people


def principal_shapes(bodies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and the first ten components (V, 3, 10), scaled so that betas have unit variance.

    ``bodies`` (S, V, 3). The sign makes a positive beta the taller body; it settles ties by itself.
    """
    mean = bodies.mean(axis=0)
    flat = (bodies - mean).reshape(len(bodies), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    order = np.argsort(-values)[:BETAS]
    deviation = np.sqrt(values[order] / (len(bodies) - 1))
    components = (vectors[:, order].T @ flat) / np.sqrt(values[order])[:, None] * deviation[:, None]
    components = components.reshape(BETAS, *mean.shape)
    high, low = mean[:, 1].argmax(), mean[:, 1].argmin()
    growth = components[:, high, 1] - components[:, low, 1]
    components *= np.where(growth < 0, -1.0, 1.0)[:, None, None]
    return mean, components.transpose(1, 2, 0)


def regress_joints(bodies: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sparse (24, V) regressor by non-negative least squares, rows summing to 1.

    ``bodies`` (S, V, 3), ``joints`` (S, 24, 3), ``weights`` (V, 24) skinning weights. Candidates are
    the nearest vertices in each of the eight octants about the joint, so that they surround it.
    """
    mean, regressor = bodies.mean(axis=0), np.zeros((24, bodies.shape[1]))
    for joint in range(24):
        target = joints[:, joint]
        offset = mean - target.mean(axis=0)
        distance = np.linalg.norm(offset, axis=1)
        distance[weights[:, joint] < 0.02] += 0.1
        octant = (offset > 0) @ [1, 2, 4]
        order = np.argsort(distance, kind="stable")
        near = np.concatenate([order[octant[order] == o][:16] for o in range(8)])
        system = bodies[:, near].transpose(0, 2, 1).reshape(-1, len(near))
        heavy = 10.0 * np.sqrt(len(system))
        matrix = np.vstack([system, np.full((1, len(near)), heavy)])
        solution, _ = nnls(matrix, np.append(target.reshape(-1), heavy), maxiter=2000)
        solution[solution < 0.004] = 0
        regressor[joint, near] = solution / solution.sum()
    return regressor
