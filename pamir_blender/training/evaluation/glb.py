"""A glTF binary from a stranger to coloured triangles and bones; no other file is opened."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from .mesh_parts import MAX_FACES, Part, Textures, check_totals

MAX_NODES = 20_000
MAX_DESCRIPTION = 32 << 20
"""Bytes of JSON."""
MAX_NUMBERS = 3 * MAX_FACES
"""Of one accessor: what the indices of the largest mesh need."""
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_UNDERSTOOD = {"KHR_materials_unlit", "KHR_mesh_quantization", "KHR_materials_specular", "VRM", "VRMC_vrm"}


def read_glb(path: Path) -> tuple[list[Part], list[str], np.ndarray]:
    """Parts of the default scene in its world frame, and its bones' names and positions (B, 3).

    Skinned meshes come posed by their bones as the file has them. Raises ValueError (or KeyError, IndexError,
    TypeError, struct.error, OverflowError, RecursionError for structures that are not what they should be).
    """
    document, binary = _chunks(path.read_bytes())
    missing = set(document.get("extensionsRequired", ())) - _UNDERSTOOD
    if missing:
        raise ValueError(
            f"it needs {', '.join(sorted(missing))}; export it without compression or extensions"
        )
    return _Reader(document, binary).parts()


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    magic, version, length = struct.unpack_from("<4sII", data, 0)
    if magic != b"glTF" or version != 2 or length > len(data):
        raise ValueError("it is not a whole glTF 2.0 binary file")
    found: dict[bytes, bytes] = {}
    offset = 12
    for _ in range(2):  # the description, then the data; what may follow is nobody's
        if offset + 8 > length:
            break
        size, kind = struct.unpack_from("<I4s", data, offset)
        found[kind] = data[offset + 8 : offset + 8 + size]
        offset += 8 + size
    if len(found[b"JSON"]) > MAX_DESCRIPTION:
        raise ValueError(f"its description has more than {MAX_DESCRIPTION >> 20} MiB")
    document = json.loads(found[b"JSON"])
    if not isinstance(document, dict):
        raise ValueError("its description is no table")
    return document, found.get(b"BIN\x00", b"")


class _Reader:
    def __init__(self, document: dict[str, Any], binary: bytes) -> None:
        self.document, self.binary = document, binary
        self.nodes = document.get("nodes", [])
        if len(self.nodes) > MAX_NODES:
            raise ValueError(f"it has {len(self.nodes):,} nodes, more than {MAX_NODES:,}")
        self.world = self._world()
        self._textures, self._images = Textures(), dict[int, np.ndarray]()

    def parts(self) -> tuple[list[Part], list[str], np.ndarray]:
        parts: list[Part] = []
        for index, node in enumerate(self.nodes):
            if "mesh" not in node or self.world[index] is None:
                continue
            primitives = self._item("meshes", node["mesh"])["primitives"]
            for primitive in primitives:
                if primitive.get("mode", 4) == 4:
                    parts.append(self._part(primitive, node, self.world[index]))
                    # Many nodes may show one mesh, so a small file can hold endless triangles.
                    check_totals(parts)
        bones = {index for skin in self.document.get("skins", ()) for index in skin["joints"]}
        placed = [
            index for index in range(len(self.nodes)) if index in bones and self.world[index] is not None
        ]
        names = [str(self.nodes[index].get("name", "")) for index in placed]
        places = np.array([self.world[index][:3, 3] for index in placed]).reshape(-1, 3)
        return parts, names, places

    def _item(self, table: str, index: Any) -> Any:
        items = self.document.get(table, [])
        if not isinstance(index, int) or not 0 <= index < len(items):
            raise ValueError(f"it names {table} number {index}, which does not exist")
        return items[index]

    def _world(self) -> list[np.ndarray | None]:
        """The world matrix (4, 4) of every node of the scene, None for those outside of it."""
        scenes = self.document.get("scenes")
        roots = self._item("scenes", self.document.get("scene", 0)).get("nodes", []) if scenes else []
        world: list[np.ndarray | None] = [None] * len(self.nodes)
        waiting = [(root, np.eye(4)) for root in roots]
        while waiting:
            index, above = waiting.pop()
            node = self._item("nodes", index)
            if world[index] is not None:
                raise ValueError("its nodes form no tree")
            world[index] = above @ _local(node)
            waiting += [(child, world[index]) for child in node.get("children", ())]
        return world

    def _part(self, primitive: dict[str, Any], node: dict[str, Any], world: np.ndarray) -> Part:
        attributes = primitive["attributes"]
        vertices = self._floats(attributes["POSITION"], 3)
        if "indices" in primitive:
            faces = self.accessor(primitive["indices"], 1).astype(np.int64)
        else:
            faces = np.arange(len(vertices))
        if len(faces) % 3:
            raise ValueError("its triangles are incomplete")
        if "skin" in node:
            vertices = self._skinned(vertices, attributes, self._item("skins", node["skin"]))
        else:
            vertices = vertices @ world[:3, :3].T + world[:3, 3]
        uv = colors = None
        if "TEXCOORD_0" in attributes:
            uv = self._floats(attributes["TEXCOORD_0"], 2)
        if "COLOR_0" in attributes:
            linear = self._floats(attributes["COLOR_0"], None)[:, :3]
            colors = _srgb(linear)
        image, key, factor = self._material(primitive.get("material"))
        if image is None and colors is None:
            colors = np.broadcast_to(_srgb(factor[None]), (len(vertices), 3)).copy()
        return Part(vertices, faces.reshape(-1, 3), uv, image, colors, key)

    def _skinned(self, vertices: np.ndarray, attributes: dict[str, Any], skin: dict[str, Any]) -> np.ndarray:
        bones = [self.world[index] if 0 <= index < len(self.nodes) else None for index in skin["joints"]]
        if any(bone is None for bone in bones):
            raise ValueError("a skin's bone is not part of the scene")
        matrices = np.array(bones)
        if "inverseBindMatrices" in skin:
            inverse = self._floats(skin["inverseBindMatrices"], 16).reshape(-1, 4, 4).transpose(0, 2, 1)
            if len(inverse) < len(matrices):
                raise ValueError("its skin has fewer matrices than bones")
            matrices = matrices @ inverse[: len(matrices)]
        owners = self.accessor(attributes["JOINTS_0"], 4).astype(np.int64)
        weights = self._floats(attributes["WEIGHTS_0"], 4)
        if (
            len(owners) != len(vertices)
            or len(weights) != len(vertices)
            or owners.max(initial=0) >= len(bones)
        ):
            raise ValueError("its skin does not match its vertices or bones")
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        posed = np.zeros_like(vertices)
        for column in range(4):
            matrix = matrices[owners[:, column]]
            moved = np.einsum("vij,vj->vi", matrix[:, :3, :3], vertices) + matrix[:, :3, 3]
            posed += moved * weights[:, column : column + 1]
        return posed

    def _material(self, index: int | None) -> tuple[np.ndarray | None, int | None, np.ndarray]:
        """A material's base image, the image's number, and its base colour, linear (3,)."""
        if index is None:
            return None, None, np.full(3, 0.5)
        surface = self._item("materials", index).get("pbrMetallicRoughness", {})
        factor = np.array(surface.get("baseColorFactor", [1.0] * 4), float)[:3]
        if factor.shape != (3,) or not np.isfinite(factor).all():
            raise ValueError("a material's colour is no colour")
        if "baseColorTexture" not in surface:
            return None, None, factor
        number = self._item("textures", surface["baseColorTexture"]["index"]).get("source")
        if number not in self._images:
            image = self._item("images", number)
            if "bufferView" not in image:
                raise ValueError("a texture lies outside the file; export it as one self-contained .glb")
            self._images[number] = self._textures.decode(self._view(image["bufferView"]))
        return self._images[number], number, factor

    def _view(self, index: int) -> bytes:
        view = self._item("bufferViews", index)
        start, size = view.get("byteOffset", 0), view["byteLength"]
        if view.get("buffer", 0) != 0 or "uri" in self._item("buffers", 0):
            raise ValueError("its data lie outside the file; export it as one self-contained .glb")
        if start < 0 or size < 0 or start + size > len(self.binary):
            raise ValueError("its data are cut short")
        return self.binary[start : start + size]

    def accessor(self, index: int, width: int | None) -> np.ndarray:
        """(count, width), or (count,) for width 1, as stored; ``width`` None takes any."""
        accessor = self._item("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise ValueError("it uses sparse data; export it without shape keys or morph targets")
        kind, own = np.dtype(_COMPONENTS[accessor["componentType"]]), _WIDTHS[accessor["type"]]
        count = accessor["count"]
        if not 0 <= count * own <= MAX_NUMBERS or (width is not None and own != width):
            raise ValueError(f"an accessor of {count} x {own} is not what is expected there")
        data = self._view(accessor["bufferView"])
        item = kind.itemsize * own
        stride = self._item("bufferViews", accessor["bufferView"]).get("byteStride", item)
        start = accessor.get("byteOffset", 0)
        if start < 0 or stride < item or (count and start + stride * (count - 1) + item > len(data)):
            raise ValueError("its data are cut short")
        values = np.ndarray((count, own), kind, data, start, (stride, kind.itemsize))
        if accessor.get("normalized") and kind.kind in "iu":
            values = np.maximum(values / np.iinfo(kind).max, -1.0)
        return values[:, 0] if own == 1 else values

    def _floats(self, index: int, width: int | None) -> np.ndarray:
        return np.array(self.accessor(index, width), np.float64)


def _local(node: dict[str, Any]) -> np.ndarray:
    """A node's own matrix (4, 4)."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], float).reshape(4, 4).T
    else:
        x, y, z, w = np.array(node.get("rotation", [0, 0, 0, 1]), float)
        matrix = np.eye(4)
        matrix[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        matrix[:3, :3] *= np.array(node.get("scale", [1, 1, 1]), float)
        matrix[:3, 3] = node.get("translation", [0, 0, 0])
    if not np.isfinite(matrix).all():
        raise ValueError("a node's transformation is no numbers")
    return matrix


def _srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light (N, 3) in [0, 1] to sRGB uint8."""
    linear = np.clip(np.nan_to_num(linear), 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(curve * 255).astype(np.uint8)
