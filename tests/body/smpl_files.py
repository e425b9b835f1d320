"""Small makers of SMPL-like files for the tests; all numbers are made up."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from pamir_blender.contracts import JOINT_PARENTS

VERTICES, FACES = 6890, 13776


def smpl_arrays(betas: int = 10, joints: int = 24, seed: int = 0) -> dict[str, np.ndarray]:
    """A SMPL-shaped set of arrays with SMPL's keys, counts and conventions."""
    rng = np.random.default_rng(seed)
    template = rng.uniform(-0.9, 0.9, (VERTICES, 3))
    regressor = np.zeros((joints, VERTICES))
    for joint in range(joints):
        regressor[joint, rng.choice(VERTICES, 8, replace=False)] = 1 / 8
    weights = np.zeros((VERTICES, joints))
    columns = np.argsort(rng.random((VERTICES, joints)), axis=1)[:, :4]
    np.put_along_axis(weights, columns, rng.dirichlet(np.ones(4), VERTICES), axis=1)
    parents = np.array([2**32 - 1, *JOINT_PARENTS[1:], *range(24, joints)])
    return {
        "v_template": template,
        "f": rng.integers(0, VERTICES, (FACES, 3)).astype(np.uint32),
        "shapedirs": rng.normal(0, 0.02, (VERTICES, 3, betas)),
        "posedirs": rng.normal(0, 0.001, (VERTICES, 3, 9 * (joints - 1))),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.stack([parents, np.arange(joints)]).astype(np.int64),
    }


def as_released(arrays: dict[str, np.ndarray]) -> dict:
    """The same with a sparse joint regressor, as released files have it."""
    return {**arrays, "J_regressor": sparse.csc_matrix(arrays["J_regressor"]), "bs_type": "lrotmin"}
