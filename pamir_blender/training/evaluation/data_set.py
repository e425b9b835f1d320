"""A data set made by ``make_data`` as a test set: its pictures, true meshes, true and estimated bodies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...camera import CROP_SIZE, CropWindow
from ...contracts import Landmarks, Photo
from ...errors import AssetsError, RequestError
from ..body_parameters import unpack_parameters
from ..box_change import BoxChange
from ..dataset import ViewDataset
from ..jobs import BODY_FILE, pinned_body
from ..photo_body import PhotoBodies
from ..storage import BOX_STEP, METRES_STEP, from_counts, read_arrays, read_json
from ..validation import spread
from .case import BodyShape, Case
from .measures import regressed_joints

KINDS = ("true", "estimated", "photo")


class DataViews:
    """The views of one data folder; ``limit`` of them, evenly spread, 0 for all."""

    kinds: Sequence[str] = KINDS

    def __init__(self, folder: Path, limit: int = 0) -> None:
        if not (folder / "data.json").is_file():
            raise RequestError(
                f"There is no data set in {folder}. Make one: python -m pamir_blender.training.make_data"
            )
        self.folder = folder
        self._index = read_json(folder / "data.json")
        self._data = ViewDataset(folder, image_size=64, points=16, augment=False)
        if not (folder / BODY_FILE).is_file():
            raise AssetsError(f"{folder} lacks {BODY_FILE}, the body model it was made with. Make it again.")
        self.model = pinned_body(folder)
        self._faces = self.model.faces.numpy().astype(np.int32)
        self._template = self.model.template.numpy().astype(np.float32)
        chosen = spread(limit or len(self._data), len(self._data))
        self._numbers = {self._data.views[i]["name"]: i for i in chosen}
        self._bodies = PhotoBodies(self.model)

    def names(self) -> list[str]:
        """See :class:`~.case.ViewSet`."""
        return list(self._numbers)

    def digest(self, name: str) -> str:
        """See :class:`~.case.ViewSet`."""
        view = self._view(name)
        estimate = self._estimate(name) if view["severity"] else None
        digest = hashlib.sha256(f"{self._index.get('body_digest')} {estimate}".encode())
        subject = view["subject"]
        for path in (
            self.folder / "views" / f"{name}.png",
            self.folder / "views" / f"{name}.npz",
            self.folder / "subjects" / f"{subject}.npz",
            self.folder / "meshes" / f"{subject}.npz",
        ):
            try:
                digest.update(path.read_bytes())
            except OSError as error:
                raise AssetsError(
                    f"{path} cannot be read ({error.strerror}). Measuring needs data made with --meshes."
                ) from error
        return digest.hexdigest()

    def tags(self, name: str) -> dict[str, Any]:
        """See :class:`~.case.ViewSet`."""
        view = self._view(name)
        known = ("subject", "identity", "outfit", "pose_mode", "added", "yaw_deg", "pitch_deg")
        return {key: view[key] for key in known if key in view}

    def describe(self) -> dict[str, Any]:
        """See :class:`~.case.ViewSet`."""
        return {
            "kind": "data set",
            "folder": str(self.folder),
            "split": self._index.get("split"),
            "command": self._index.get("command"),
            "body_digest": self._index.get("body_digest"),
            "views": len(self._numbers),
            "of": len(self._data),
        }

    def open(self, name: str, kind: str) -> Case:
        """See :class:`~.case.ViewSet`."""
        truth, scale = self._data.mesh(self._numbers[name]), self.scale(name)
        true = self.body(name, 0)
        joints = regressed_joints(self.model, true.vertices)
        if kind == "photo":
            photo, posed = self._bodies.find(self.folder / "views" / f"{name}.png")
            change = BoxChange(photo.window, photo.image.shape[0])
            body, joints = BodyShape.of(posed), change.points(joints)
            return Case(name, photo, change.mesh(truth), scale * change.factor, body, joints, True)
        body = true if kind == "true" else self.body(name, self._estimate(name))
        return Case(name, self._photo(name), truth, scale, body, joints)

    def body(self, name: str, which: int) -> BodyShape:
        """The true body (0) or the ``which``-th estimate of a view, in the box of its picture.

        Its parameters are None in data sets that were made before they were stored.
        """
        stored = read_arrays(self.folder / "views" / f"{name}.npz")
        if which == 0:
            subject = read_arrays(self.folder / "subjects" / f"{self._view(name)['subject']}.npz", ("body",))
            turn = (stored["rotation"] * float(stored["scale"])).T
            vertices = from_counts(subject["body"], METRES_STEP) @ turn + stored["translation"]
        else:
            vertices = from_counts(stored["estimates"][which - 1], BOX_STEP)
        shape = BodyShape(vertices.astype(np.float32), self._faces, self._template)
        if "parameters" not in stored:
            return shape
        try:
            return replace(shape, parameters=unpack_parameters(stored["parameters"][which], self.model.name))
        except (ValueError, IndexError) as error:
            raise AssetsError(f"The bodies of view {name} are damaged ({error}). Make it again.") from error

    def scale(self, name: str) -> float:
        """Box units per metre in a view's picture."""
        return float(self._view(name)["scale"])

    def _estimate(self, name: str) -> int:
        """Which estimate a view is measured with: mild and severe ones take turns, by the view's number."""
        count = len(self._view(name)["severity"])
        if not count:
            raise AssetsError(f"{self.folder} holds no estimated bodies. Make it with --estimates 2.")
        return self._numbers[name] % count + 1

    def _view(self, name: str) -> dict[str, Any]:
        return self._data.views[self._numbers[name]]

    def _photo(self, name: str) -> Photo:
        picture = self._data.picture(self._numbers[name])
        alpha = picture[..., 3:].astype(np.float32) / 255
        crop = np.round(picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        return given_photo(name, crop, alpha[..., 0])


def given_photo(name: str, crop: np.ndarray, mask: np.ndarray) -> Photo:
    """A picture (512, 512, 3) uint8 that shows the box exactly, with its mask; nobody looked for landmarks.

    All 33 are therefore marked as not seen.
    """
    unseen = np.zeros(33, np.float32)
    landmarks = Landmarks(
        np.zeros((33, 2), np.float32), unseen, np.zeros((33, 3), np.float32), unseen, unseen
    )
    side = float(CROP_SIZE)
    window = CropWindow(1.0, (0.0, 0.0))
    return Photo(name, "", crop, mask, (0.0, 0.0, side, side), window, crop, mask, landmarks, "file")
