"""The training set as torch sees it: a view of a clothed subject, conditioned on a true or estimated body."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import AssetsError
from .augment import PLAIN, photo_like, random_toning
from .depth_shift import shift_along
from .rendering import sh_basis
from .sampling import BOUNDS_MARGIN, FINE, UNIFORM
from .storage import BOX_STEP, METRES_STEP, VOLUME_SIDE, from_counts, read_arrays, read_json, unpack_volume
from .variants import depth_ramp

_POINT_ARRAYS = ("points", "occupancy", "kind", "nearest", "nearest_weight", "body", "bounds")
_COLOR_ARRAYS = ("surface", "surface_normals", "surface_colors", "surface_nearest", "surface_nearest_weight")

MOVED_SHARE = 0.75
"""Of the points that are known to be empty, those put before or behind the person."""
BESIDE_BODY, CLOTH_ALONE = 0.025, 5.0
"""Box units from the body's outline beyond which a place shows cloth alone; how much likelier it is then."""


class ViewDataset(Dataset):
    """Views made by ``make_data``; samples are dicts (S = image_size, N = points, M = color_points).

    =============  ==================  =======================================================
    image          (4, S, S) f32       RGB in [0, 1] on white, and the mask
    volume         (1, 128^3) u8       occupancy of the conditioning body, (z, y, x), 0 or 1; or a depth ramp
    points         (N, 3) f32          query points in the box, shifted in depth to the conditioning body
    dz             (N,) f32            that shift (eqs. 7-8); the true point is ``points - (0, 0, dz)``
    occupancy      (N,) f32            0 or 1
    point_kind     (N,) u8             how the point was drawn (see ``sampling``)
    body_true      (6890, 3) f32       true body, box
    body           (6890, 3) f32       conditioning body, box
    is_true        () bool             whether both are the same
    color_points   (M, 3) f32          points on the clothed surface, shifted like ``points``
    normals        (M, 3) f32          outward, view frame
    colors         (M, 3) f32          lit colour in [0, 1], toned like the image
    albedo         (M, 3) f32          unlit colour in [0, 1]
    visible        (M,) bool           whether the view shows the point
    index          () i64              number of the view
    =============  ==================  =======================================================

    Args:
        roots: one folder written by ``make_data``, or several whose views are concatenated.
        split: checked against the folders' own label; None accepts any.
        mix: shares of points of kind FINE, NEAR, TIGHT, UNIFORM.
        true_body_share: how often the true body conditions the sample; otherwise an estimated one.
        shift_depth: whether points follow an estimated body in depth; without it they stay at the truth, as
            supervision that ignores the ambiguity would have them.
        variant: what ``volume`` holds, see :mod:`~pamir_blender.training.variants`.
        vertex_emphasis: (V,) per body vertex, how much more often the surface points next to it are drawn for
            colour; given one, points that the view hides are drawn twice as often as those it shows.
        augment: photo-like changes of image and mask.

    Raises:
        AssetsError: a folder or file that is missing, damaged or of another split.
    """

    def __init__(
        self,
        roots: Path | str | Sequence[Path | str],
        *,
        split: str | None = None,
        image_size: int = 256,
        points: int = 4096,
        color_points: int = 0,
        mix: tuple[float, float, float, float] = (0.38, 0.30, 0.10, 0.22),
        true_body_share: float = 0.3,
        shift_depth: bool = True,
        variant: str = "pamir",
        vertex_emphasis: np.ndarray | None = None,
        augment: bool = True,
        seed: int = 0,
    ) -> None:
        folders = [Path(roots)] if isinstance(roots, (str, Path)) else [Path(root) for root in roots]
        self.image_size, self.color_count = image_size, color_points
        self.true_body_share, self.augment, self.seed = true_body_share, augment, seed
        self.shift_depth, self.variant = shift_depth, variant
        self.vertex_emphasis = vertex_emphasis
        self.counts = np.floor(np.array(mix) / sum(mix) * points).astype(int)
        self.counts[FINE] += points - self.counts.sum()
        self.views: list[dict] = []
        self._folders: list[Path] = []
        digests = set()
        for folder in folders:
            index = read_json(folder / "data.json")
            if split is not None and index["split"] != split:
                raise AssetsError(f"{folder} holds the {index['split']} split, not {split}.")
            digests.add(index["body_digest"])
            self.views += index["views"]
            self._folders += [folder] * len(index["views"])
        if len(digests) > 1:
            raise AssetsError("The data folders were made with different body models. Make them again.")
        if not self.views:
            raise AssetsError(f"There are no views in {', '.join(map(str, folders))}. Run make_data first.")
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.views)

    def set_epoch(self, epoch: int) -> None:
        """Draw other points, bodies and augmentations from now on, in loader processes too."""
        self._epoch[0] = epoch

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sample; the draw depends on seed, epoch and index alone."""
        rng = np.random.default_rng([self.seed, int(self._epoch[0]), index])
        folder, meta = self._folders[index], self.views[index]
        stored = read_arrays(self.view_file(index))
        names = _POINT_ARRAYS + (_COLOR_ARRAYS if self.color_count else ())
        subject = read_arrays(folder / "subjects" / f"{meta['subject']}.npz", names)
        toning = random_toning(rng) if self.augment else None
        image, mask = photo_like(rng, self.picture(index), self.image_size, toning)

        rotation, scale, translation = stored["rotation"], float(stored["scale"]), stored["translation"]
        turn = (rotation * scale).T
        body_true = from_counts(subject["body"], METRES_STEP) @ turn + translation
        which = 0
        if rng.random() >= self.true_body_share and len(stored["estimates"]):
            which = int(rng.integers(len(stored["estimates"]))) + 1
        body = body_true if which == 0 else from_counts(stored["estimates"][which - 1], BOX_STEP)
        depth = (body[:, 2] - body_true[:, 2]) * float(self.shift_depth)

        points, occupancy, kinds, dz = self._points(rng, subject, turn, translation, body_true, depth, body)
        sample = {
            "image": np.concatenate([image.transpose(2, 0, 1), mask[None]]),
            "volume": self._volume(stored[f"volume{which}"]),
            "points": points,
            "dz": dz,
            "occupancy": occupancy,
            "point_kind": kinds,
            "body_true": body_true,
            "body": body,
        }
        sample |= self._colors(rng, subject, stored, turn, translation, depth, toning or PLAIN)
        result = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in sample.items()}
        return result | {"is_true": torch.tensor(which == 0), "index": torch.tensor(index)}

    def _volume(self, packed: np.ndarray) -> np.ndarray:
        if self.variant == "pifu":
            return depth_ramp(VOLUME_SIDE).numpy()
        return unpack_volume(packed)[None]

    def folder(self, index: int) -> Path:
        """The data folder that view ``index`` comes from."""
        return self._folders[index]

    def view_file(self, index: int) -> Path:
        """The file with the arrays of view ``index``."""
        return self._folders[index] / "views" / f"{self.views[index]['name']}.npz"

    def picture(self, index: int) -> np.ndarray:
        """The stored render of a view: (512, 512, 4) uint8 RGBA, straight alpha."""
        path = self._folders[index] / "views" / f"{self.views[index]['name']}.png"
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            raise AssetsError(f"The training picture {path} is missing or damaged. Make the data again.")
        return picture[..., [2, 1, 0, 3]]

    def mesh(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The true clothed mesh of a view: vertices (V, 3) f32 in the box, faces (F, 3) i32."""
        folder, meta = self._folders[index], self.views[index]
        stored = read_arrays(folder / "meshes" / f"{meta['subject']}.npz")
        rotation = np.array(meta["rotation"], np.float32) * meta["scale"]
        vertices = stored["vertices"] @ rotation.T + np.array(meta["translation"], np.float32)
        return vertices.astype(np.float32), stored["faces"].astype(np.int32)

    def _points(
        self,
        rng: np.random.Generator,
        subject: dict[str, np.ndarray],
        turn: np.ndarray,
        translation: np.ndarray,
        body_true: np.ndarray,
        depth: np.ndarray,
        body: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Drawn points (N, 3) shifted in depth, occupancy (N,), kinds (N,), shifts (N,)."""
        # Of the uniform points, those that fall outside the subject's bounds are known to be outside.
        box = rng.uniform(-0.5, 0.5, (self.counts[UNIFORM], 3)).astype(np.float32)
        low, high = subject["bounds"][0] - BOUNDS_MARGIN, subject["bounds"][1] + BOUNDS_MARGIN

        def beyond(places: np.ndarray) -> np.ndarray:
            local = (places - translation) @ np.linalg.inv(turn)
            return np.any((local < low) | (local > high), axis=1)

        empty = box[beyond(box)]
        wanted = self.counts.copy()
        wanted[UNIFORM] -= len(empty)
        chosen = np.concatenate([_draw(rng, subject["kind"], kind, wanted[kind]) for kind in range(4)])
        points = from_counts(subject["points"][chosen], METRES_STEP) @ turn + translation
        occupancy = np.unpackbits(subject["occupancy"], count=len(subject["kind"]))[chosen]
        moved = before_and_behind(rng, empty, points[occupancy > 0], body)
        empty = np.where(beyond(moved)[:, None], moved, empty)
        dz = shift_along(depth, subject["nearest"][chosen], subject["nearest_weight"][chosen])
        # Far from the body the nearest of a few vertices says the shift well enough.
        few = body_true[::23]
        closest = ((few * few).sum(1) - 2 * empty @ few.T).argmin(axis=1)
        points = np.concatenate([points, empty])
        dz = np.concatenate([dz, depth[::23][closest]])
        points[:, 2] += dz
        occupancy = np.concatenate([occupancy, np.zeros(len(empty), np.uint8)]).astype(np.float32)
        kinds = np.concatenate([subject["kind"][chosen], np.full(len(empty), UNIFORM, np.uint8)])
        return points, occupancy, kinds, dz

    def _colors(
        self,
        rng: np.random.Generator,
        subject: dict[str, np.ndarray],
        stored: dict[str, np.ndarray],
        turn: np.ndarray,
        translation: np.ndarray,
        depth: np.ndarray,
        toning: object,
    ) -> dict[str, np.ndarray]:
        """The surface points' part of a sample."""
        if not self.color_count:
            empty = np.zeros((0, 3), np.float32)
            return dict.fromkeys(("color_points", "normals", "colors", "albedo"), empty) | {
                "visible": np.zeros(0, bool)
            }
        total = len(subject["surface"])
        visible = np.unpackbits(stored["visible"], count=total).astype(bool)
        if self.vertex_emphasis is None:
            chosen = rng.choice(total, self.color_count, replace=self.color_count > total)
        else:
            often = self.vertex_emphasis[subject["surface_nearest"][:, 0]] * np.where(visible, 0.5, 1.0)
            chosen = rng.choice(total, self.color_count, p=often / often.sum())
        points = from_counts(subject["surface"][chosen], METRES_STEP) @ turn + translation
        points[:, 2] += shift_along(
            depth, subject["surface_nearest"][chosen], subject["surface_nearest_weight"][chosen]
        )
        normals = subject["surface_normals"][chosen].astype(np.float32) @ stored["rotation"].T
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
        albedo = subject["surface_colors"][chosen].astype(np.float32) / 255
        lit = np.clip(albedo * (sh_basis(normals) @ stored["light"]), 0, 1)
        return {
            "color_points": points,
            "normals": normals,
            "colors": toning(lit),
            "albedo": albedo,
            "visible": visible[chosen],
        }


def before_and_behind(
    rng: np.random.Generator, empty: np.ndarray, inside: np.ndarray, body: np.ndarray
) -> np.ndarray:
    """``empty`` (E, 3) with most of them moved onto the person's outline, their depth kept.

    There the photo shows a person and only depth says that nothing is there. Points spread over the box
    rarely fall there, and cloth that hangs away from the body would grow through the box's whole depth. So
    places that show cloth alone, beside the ``body`` (V, 3), are the likeliest; ``inside`` (N, 3) are points
    of the person.
    """
    if not len(empty) or not len(inside):
        return empty
    place = inside[rng.integers(len(inside), size=2 * len(empty)), :2]
    skin = body[::11, :2].astype(np.float32)
    squared = (skin * skin).sum(1) - 2 * place.astype(np.float32) @ skin.T
    apart = squared.min(axis=1) + (place * place).sum(1) > BESIDE_BODY**2
    share = np.where(apart, CLOTH_ALONE, 1.0)
    moved = empty.copy()
    moved[:, :2] = place[rng.choice(len(place), len(empty), p=share / share.sum())]
    return np.where((rng.random(len(empty)) < MOVED_SHARE)[:, None], moved, empty)


def _draw(rng: np.random.Generator, kinds: np.ndarray, kind: int, count: int) -> np.ndarray:
    """``count`` numbers of stored points of one kind; they are stored kind by kind."""
    start, stop = np.searchsorted(kinds, [kind, kind + 1])
    if stop == start:
        raise AssetsError("A training file holds no points of a wanted kind. Make the data again.")
    return rng.integers(start, stop, size=count)
