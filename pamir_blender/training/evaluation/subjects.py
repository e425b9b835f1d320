"""Any folder of textured people as a test set: stood in the box and drawn from several sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...body.load import load_body_model
from ...errors import AssetsError, BackendError, PamirError, RequestError
from ..box_change import BoxChange
from ..photo_body import PhotoBodies
from ..poses import euler
from ..rendering import Renderer, View, random_light
from .case import BodyShape, Case
from .mesh_files import mesh_paths, read_mesh
from .mesh_parts import TexturedMesh
from .pictures import write_picture_alpha

HEIGHT_SHARE, WIDTH_SHARE = 0.8, 0.92
"""Of the box: what a person's height takes, and width and depth at most."""
DEFAULT_HEIGHT = 1.75
"""Metres, for a mesh whose unit cannot be guessed."""


@dataclass(frozen=True)
class SubjectOptions:
    """``yaws`` degrees, to the person's left; ``up`` "y" or "z"; ``height`` metres of every subject, or None
    to take the file's unit for what it seems to be."""

    yaws: tuple[float, ...] = (0.0, 30.0, -45.0)
    up: str = "y"
    height: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class _Drawn:
    path: Path
    yaw: float
    digest: str


class SubjectViews:
    """Every mesh of ``folder`` from every yaw; ``work`` keeps the drawn pictures.

    Meshes that cannot be used are told with ``say`` and left out. Raises AssetsError if none is left.
    """

    kinds: Sequence[str] = ("photo",)

    def __init__(self, folder: Path, work: Path, options: SubjectOptions, limit: int, say: Any) -> None:
        if options.up not in ("y", "z"):
            raise RequestError(f"--up is y or z, not {options.up!r}")
        self.folder, self.options = folder, options
        self.model = load_body_model(None)
        self._work = work
        self._bodies = PhotoBodies(self.model)
        self._views: dict[str, _Drawn] = {}
        self._refused: dict[str, str] = {}
        self._recent: tuple[Path, TexturedMesh, float] | None = None
        work.mkdir(parents=True, exist_ok=True)
        paths = mesh_paths(folder)
        with _renderer() as renderer:
            for path in paths[: limit or None]:
                try:
                    self._draw(path, renderer)
                except AssetsError as error:
                    self._refused[str(path.relative_to(folder))] = str(error)
                    say(f"left out: {error}")
        if not self._views:
            raise AssetsError(
                f"No mesh in {folder} can be used. The first: {next(iter(self._refused.values()))}"
            )

    def names(self) -> list[str]:
        """See :class:`~.case.ViewSet`."""
        return list(self._views)

    def digest(self, name: str) -> str:
        """See :class:`~.case.ViewSet`."""
        return self._views[name].digest

    def tags(self, name: str) -> dict[str, Any]:
        """See :class:`~.case.ViewSet`."""
        view = self._views[name]
        return {"file": str(view.path.relative_to(self.folder)), "yaw_deg": view.yaw}

    def describe(self) -> dict[str, Any]:
        """See :class:`~.case.ViewSet`."""
        subjects = len({view.path for view in self._views.values()})
        return {
            "kind": "meshes",
            "folder": str(self.folder),
            "subjects": subjects,
            "views": len(self._views),
            "refused": self._refused,
            "options": asdict(self.options),
        }

    def open(self, name: str, kind: str) -> Case:
        """See :class:`~.case.ViewSet`."""
        if kind != "photo":
            raise RequestError(f"meshes come without a {kind} body")
        drawn = self._views[name]
        mesh, _ = self._mesh(drawn.path)
        view = self._view(mesh, drawn.yaw)
        photo, posed = self._bodies.find(self._picture(name))
        change = BoxChange(photo.window, photo.image.shape[0])
        truth = view.to_box(mesh.vertices).astype(np.float32), mesh.faces
        joints = None
        if mesh.joints is not None:
            joints = change.points(view.to_box(mesh.joints))
        return Case(
            name, photo, change.mesh(truth), view.scale * change.factor, BodyShape.of(posed), joints, True
        )

    def _draw(self, path: Path, renderer: Renderer) -> None:
        mesh, content = self._mesh(path)
        renderer.load(mesh.vertices, mesh.normals, mesh.uv, mesh.faces)
        renderer.load_texture(mesh.texture)
        for yaw in self.options.yaws:
            settings = f"{content} {yaw} {self.options}"
            name = f"{path.relative_to(self.folder).as_posix()}@{yaw:g}"
            self._views[name] = _Drawn(path, yaw, hashlib.sha256(settings.encode()).hexdigest())
            write_picture_alpha(self._picture(name), renderer.draw(self._view(mesh, yaw)))

    def _picture(self, name: str) -> Path:
        return self._work / f"{self._views[name].digest[:32]}.png"

    def _mesh(self, path: Path) -> tuple[TexturedMesh, str]:
        """The mesh in metres, y up, on the floor's middle, and the hash of its file."""
        if self._recent is None or self._recent[0] != path:
            try:
                upright = stand_up(read_mesh(path), self.options.up, self.options.height)
            except ValueError as error:
                raise AssetsError(f"The mesh {path} cannot be used: {error}.") from error
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            self._recent = (path, upright, content)
        return self._recent[1], self._recent[2]

    def _view(self, mesh: TexturedMesh, yaw: float) -> View:
        rotation = euler(0, yaw, 0)
        turned = mesh.vertices @ rotation.T
        low, high = turned.min(axis=0), turned.max(axis=0)
        extent = np.maximum(high - low, 1e-6)
        scale = min(HEIGHT_SHARE / extent[1], WIDTH_SHARE / extent[0], WIDTH_SHARE / extent[2])
        light = random_light(np.random.default_rng([self.options.seed, int(yaw * 10) % 3600]))
        return View(rotation, float(scale), -(low + high) / 2 * scale, light)


def stand_up(mesh: TexturedMesh, up: str, height: float | None) -> TexturedMesh:
    """The mesh in metres, y up, the middle of its bounds above the origin, its lowest point at y = 0.

    ``up`` the file's upward axis. Without ``height`` the unit is taken for metres, decimetres, centimetres,
    millimetres or inches, whichever makes a person of 1.2 to 2.3 m, else the height for
    :data:`DEFAULT_HEIGHT`. Raises ValueError for a mesh without height.
    """
    turn = np.eye(3) if up == "y" else np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    vertices = mesh.vertices.astype(np.float64) @ turn.T
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    tall = float(high[1] - low[1])
    if not tall > 1e-6 or not np.isfinite(tall):
        raise ValueError("it has no height; if another axis is its upward one, try --up z")
    factor = height / tall if height else metres_per_unit(tall)
    origin = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    joints = None if mesh.joints is None else (mesh.joints @ turn.T - origin) * factor
    return TexturedMesh(
        ((vertices - origin) * factor).astype(np.float32),
        (mesh.normals @ turn.T).astype(np.float32),
        mesh.uv,
        mesh.faces,
        mesh.texture,
        joints,
    )


def metres_per_unit(tall: float) -> float:
    """Metres in one unit of a file in which a person is ``tall`` units high."""
    for unit in (1.0, 0.01, 0.001, 0.1, 0.0254):
        if 1.2 <= tall * unit <= 2.3:
            return unit
    return DEFAULT_HEIGHT / tall


def _renderer() -> Renderer:
    try:
        return Renderer()
    except PamirError:
        raise
    except Exception as error:  # moderngl raises plain exceptions where there is no driver
        raise BackendError(
            f"Pictures of the meshes cannot be drawn: there is no off-screen OpenGL here ({error}). "
            "Install an EGL driver, such as Mesa's."
        ) from error
