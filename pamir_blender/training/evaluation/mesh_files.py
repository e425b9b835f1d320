"""Textured meshes from anywhere: GLB, OBJ and PLY files of people, read with bounds and checked."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import AssetsError
from .glb import read_glb
from .mesh_parts import Part, TexturedMesh, Textures, join_parts
from .skeleton_names import smpl_joints

MAX_BYTES = {".glb": 512 << 20, ".vrm": 512 << 20, ".obj": 256 << 20, ".ply": 256 << 20}
"""Of a file. What may be text takes several times its size in memory."""
MAX_TEXTURE_BYTES = 128 << 20
SUFFIXES = tuple(MAX_BYTES)
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tga", ".tif", ".tiff")


def mesh_paths(folder: Path) -> list[Path]:
    """The mesh files in ``folder`` and its folders, sorted. Raises AssetsError where there are none."""
    if not folder.is_dir():
        raise AssetsError(f"There is no folder {folder}.")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise AssetsError(f"{folder} holds no mesh that can be read ({', '.join(SUFFIXES)}).")
    return found


_DAMAGE = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError),
    struct.error,
)
"""What reading structures that are not what they should be raises."""


def read_mesh(path: Path) -> TexturedMesh:
    """Read one file. Raises AssetsError that says what is wrong with it."""
    try:
        size, limit = path.stat().st_size, MAX_BYTES[path.suffix.lower()]
        if size > limit:
            raise ValueError(f"it has {size >> 20} MiB; the limit is {limit >> 20}")
        if path.suffix.lower() in (".glb", ".vrm"):
            parts, names, places = read_glb(path)
            return join_parts(parts, smpl_joints(names, places))
        return join_parts(_with_trimesh(path))
    except RecursionError as error:
        raise AssetsError(f"The mesh {path} cannot be used: it is nested too deeply.") from error
    except _DAMAGE as error:
        what = str(error) if isinstance(error, ValueError | OSError) else f"it is damaged ({error!r})"
        raise AssetsError(f"The mesh {path} cannot be used: {what}.") from error
    except MemoryError as error:
        raise AssetsError(f"The mesh {path} does not fit into memory.") from error


class _OwnFolder:
    """Hands trimesh the files beside a mesh: materials and pictures of plain names, nothing else.

    trimesh goes on without a picture that it did not get; ``error`` keeps why one was refused.
    """

    error: ValueError | None = None

    def __init__(self, folder: Path) -> None:
        self._folder, self._textures = folder, Textures()

    def get(self, name: str) -> bytes:
        """The bytes of a file of that name."""
        plain = Path(str(name).strip().replace("\\", "/"))
        path = self._folder / plain.name
        if plain.suffix.lower() not in (".mtl", *_IMAGES) or not path.is_file():
            raise FileNotFoundError(f"no {plain.name} beside the mesh")
        if path.resolve().parent != self._folder.resolve():
            raise FileNotFoundError(f"{plain.name} lies elsewhere")
        try:
            if path.stat().st_size > MAX_TEXTURE_BYTES:
                raise ValueError(f"{plain.name} is larger than {MAX_TEXTURE_BYTES >> 20} MiB")
            data = path.read_bytes()
            if plain.suffix.lower() != ".mtl":
                self._textures.decode(data)  # refuses what is enormous, before trimesh takes it
        except ValueError as error:
            self.error = error
            raise
        return data

    def __getitem__(self, name: str) -> bytes:
        return self.get(name)


def _with_trimesh(path: Path) -> list[Part]:
    import trimesh

    folder = _OwnFolder(path.parent)
    try:
        with path.open("rb") as stream:
            loaded = trimesh.load(stream, file_type=path.suffix[1:].lower(), resolver=folder, process=False)
    except (OSError, MemoryError, RecursionError):
        raise
    except Exception as error:  # trimesh's readers raise all kinds on broken files
        raise ValueError(f"it is damaged or no mesh ({type(error).__name__}: {error})") from error
    if folder.error is not None:
        raise folder.error
    meshes = loaded.dump() if isinstance(loaded, trimesh.Scene) else [loaded]
    images: dict[int, np.ndarray] = {}
    return [_part(mesh, images) for mesh in meshes if isinstance(mesh, trimesh.Trimesh)]


def _part(mesh: Any, images: dict[int, np.ndarray]) -> Part:
    """A part of trimesh's; ``images`` keeps what was decoded by the identity of trimesh's picture."""
    vertices = np.asarray(mesh.vertices, np.float64).reshape(-1, 3)
    faces = np.asarray(mesh.faces, np.int64).reshape(-1, 3)
    visual = mesh.visual
    if visual.kind == "texture" and visual.uv is not None:
        image = getattr(visual.material, "image", None)
        if image is None:
            image = getattr(visual.material, "baseColorTexture", None)
        if image is not None:
            uv = np.asarray(visual.uv, np.float64)[:, :2] * [1, -1] + [0, 1]
            if id(image) not in images:
                images[id(image)] = np.asarray(image.convert("RGB"))
            return Part(vertices, faces, uv, images[id(image)], None, id(image))
        return Part(vertices, faces)
    if visual.kind == "vertex":
        return Part(vertices, faces, colors=np.asarray(visual.vertex_colors)[:, :3].astype(np.uint8))
    return Part(vertices, faces)
