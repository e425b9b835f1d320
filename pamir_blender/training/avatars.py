"""Reading the rigged, clothed avatars (glTF binary) that training subjects are made of.

An avatar becomes a :class:`ClothedSubject`: one textured mesh in its rest T-pose, bound to SMPL's 24 joints.
Every joint of the avatars' rigs that SMPL lacks (fingers, eyes, toe ends) is left at rest, so its weight is
added to its nearest mapped ancestor, and the subject is posed by world-axis rotations like SMPL itself.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..contracts import JOINT_PARENTS
from ..errors import AssetsError

MAX_BYTES = 64 << 20
"""Avatar files beyond this size are refused."""

_COMPONENTS = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_FINGERS = ("Index", "Middle", "Ring", "Pinky")


@dataclass(frozen=True)
class ClothedSubject:
    """A clothed person in the rest T-pose, metres, y up, facing +z, the person's left = +x.

    ``vertices`` (V, 3) float32; ``faces`` (F, 3) int32; ``uv`` (V, 2) float32 with v down; ``texture``
    (H, W, 3) uint8 sRGB; ``joints`` (24, 3) float32 rest joint centres; ``weights`` (V, 24) float32 rows sum
    to 1; ``part`` (V,) uint8 mesh number; ``sheets`` the numbers of meshes made of open cards (hair).
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    part: np.ndarray
    sheets: tuple[int, ...] = ()

    def posed(self, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and joints (24, 3) after ``rotations`` (24, 3, 3), each relative to its parent.

        World axes at rest, SMPL's convention; the root turns about its own joint, without translation.
        """
        transforms = joint_transforms(self.joints, rotations)
        blended = self.weights @ transforms.reshape(24, 16)
        blended = blended.reshape(-1, 4, 4)
        vertices = np.einsum("vij,vj->vi", blended[:, :3, :3], self.vertices) + blended[:, :3, 3]
        joints = np.einsum("jik,jk->ji", transforms[:, :3, :3], self.joints) + transforms[:, :3, 3]
        return vertices.astype(np.float32), joints.astype(np.float32)


def global_rotations(rotations: np.ndarray) -> np.ndarray:
    """Products down the chain: relative rotations (24, 3, 3) to world rotations (24, 3, 3)."""
    world = np.array(rotations, dtype=np.float64)
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent >= 0:
            world[joint] = world[parent] @ world[joint]
    return world


def joint_transforms(joints: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(24, 4, 4) float32 rest-to-posed transforms for rest ``joints`` (24, 3) and relative ``rotations``."""
    world = global_rotations(rotations)
    rest = np.asarray(joints, dtype=np.float64)
    position = rest.copy()
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent >= 0:
            position[joint] = position[parent] + world[parent] @ (rest[joint] - rest[parent])
    transforms = np.zeros((24, 4, 4), dtype=np.float32)
    transforms[:, :3, :3] = world
    transforms[:, :3, 3] = position - np.einsum("jik,jk->ji", world, rest)
    transforms[:, 3, 3] = 1
    return transforms


def avatar_list(assets: Path) -> list[dict]:
    """The avatars' manifest entries (``name``, ``identity``, ``outfit``, ``split``, ``file``...)."""
    path = assets / "valid" / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        entries = manifest["avatars"]
        names = manifest["smpl24"]
    except (OSError, ValueError, KeyError) as error:
        raise AssetsError(
            f"The avatar manifest {path} is missing or unreadable ({error}). "
            "Point --assets (or PAMIR_ASSETS) at the folder that holds valid/ and makehuman/."
        ) from error
    return [{**entry, "smpl24": names, "path": path.parent / Path(entry["file"]).name} for entry in entries]


def load_avatar(entry: dict) -> ClothedSubject:
    """Read one avatar of :func:`avatar_list`; raises :class:`AssetsError` for a damaged file."""
    path = Path(entry["path"])
    try:
        return _read(path, entry["name"], list(entry["smpl24"].values()))
    except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise AssetsError(f"The avatar {path} cannot be read ({error}). Fetch the file again.") from error


def _read(path: Path, name: str, mapped: list[str]) -> ClothedSubject:
    document, binary = _read_glb(path)
    skin = document["skins"][0]
    nodes = document["nodes"]
    joint_names = [nodes[index].get("name", "") for index in skin["joints"]]
    bind = np.linalg.inv(
        _accessor(document, binary, skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    )
    smpl_of = _nearest_mapped(document, skin["joints"], mapped)
    joints = np.stack([bind[joint_names.index(joint), :3, 3] for joint in mapped])

    parts, textures, sheets = [], [], []
    for node in nodes:
        if "mesh" not in node or "skin" not in node:
            continue
        for primitive in document["meshes"][node["mesh"]]["primitives"]:
            attributes = primitive["attributes"]
            vertices = _accessor(document, binary, attributes["POSITION"])
            uv = _accessor(document, binary, attributes["TEXCOORD_0"])
            indices = _accessor(document, binary, attributes["JOINTS_0"]).astype(np.int64)
            values = _accessor(document, binary, attributes["WEIGHTS_0"])
            faces = _accessor(document, binary, primitive["indices"]).reshape(-1, 3).astype(np.int32)
            if faces.min() < 0 or faces.max() >= len(vertices) or indices.max() >= len(joint_names):
                raise ValueError("an index points outside its array")
            weights = np.zeros((len(vertices), 24), dtype=np.float32)
            np.add.at(weights, (np.arange(len(vertices))[:, None], smpl_of[indices]), values)
            weights /= weights.sum(axis=1, keepdims=True)
            material = document["materials"][primitive["material"]]
            source = material["pbrMetallicRoughness"]["baseColorTexture"]["index"]
            image_index = document["textures"][source]["source"]
            if image_index not in textures:
                textures.append(image_index)
            if document["meshes"][node["mesh"]].get("name", node.get("name", "")).startswith("wig"):
                sheets.append(len(parts))
            parts.append((vertices, uv, faces, weights, textures.index(image_index)))
    images = [_image(document, binary, index) for index in textures]
    texture, uv_maps = _atlas(images)
    offset = 0
    merged_faces = []
    for vertices, _, faces, _, _ in parts:
        merged_faces.append(faces + offset)
        offset += len(vertices)
    return ClothedSubject(
        name=name,
        vertices=np.concatenate([part[0] for part in parts]).astype(np.float32),
        faces=np.concatenate(merged_faces),
        uv=np.concatenate([part[1] * uv_maps[part[4]][0] + uv_maps[part[4]][1] for part in parts]).astype(
            np.float32
        ),
        texture=texture,
        joints=joints.astype(np.float32),
        weights=np.concatenate([part[3] for part in parts]),
        part=np.concatenate([np.full(len(part[0]), number, np.uint8) for number, part in enumerate(parts)]),
        sheets=tuple(sheets),
    )


def _read_glb(path: Path) -> tuple[dict, bytes]:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError("the file is larger than 64 MB")
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data, 0)
    if magic != b"glTF" or version != 2 or length > len(data):
        raise ValueError("not a whole glTF 2.0 binary file")
    chunks = {}
    offset = 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, offset)
        chunks[kind] = data[offset + 8 : offset + 8 + size]
        offset += 8 + size
    return json.loads(chunks[b"JSON"]), chunks[b"BIN\x00"]


def _accessor(document: dict, binary: bytes, index: int) -> np.ndarray:
    """One accessor as (count, width) (or (count,) for scalars); normalised integers become floats."""
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    dtype = np.dtype(_COMPONENTS[accessor["componentType"]])
    width, count = _WIDTHS[accessor["type"]], accessor["count"]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride", dtype.itemsize * width)
    raw = np.frombuffer(binary, np.uint8, offset=start, count=stride * (count - 1) + dtype.itemsize * width)
    rows = np.lib.stride_tricks.as_strided(raw, (count, dtype.itemsize * width), (stride, 1))
    values = np.ascontiguousarray(rows).view(dtype).reshape(count, width)
    if accessor.get("normalized"):
        values = values.astype(np.float32) / np.iinfo(dtype).max
    return values[:, 0] if width == 1 else values


def _nearest_mapped(document: dict, joint_nodes: list[int], mapped: list[str]) -> np.ndarray:
    """For each joint of the skin the SMPL joint that moves it: itself or its nearest mapped ancestor.

    SMPL's hand joints turn the four fingers together, so all of them follow the middle finger's base.
    """
    parent = {
        child: index for index, node in enumerate(document["nodes"]) for child in node.get("children", ())
    }
    names = [node.get("name", "") for node in document["nodes"]]
    result = []
    for node in joint_nodes:
        current: int | None = node
        while current is not None and names[current] not in mapped:
            if any(finger in names[current] for finger in _FINGERS) and names[current][-1:] == "1":
                side = "Left" if names[current].startswith("Left") else "Right"
                current = names.index(f"{side}HandMiddle1")
                break
            current = parent.get(current)
        result.append(mapped.index(names[current]) if current is not None else 0)
    return np.array(result, dtype=np.int64)


def _image(document: dict, binary: bytes, index: int) -> np.ndarray:
    view = document["bufferViews"][document["images"][index]["bufferView"]]
    start = view.get("byteOffset", 0)
    encoded = np.frombuffer(binary, np.uint8, count=view["byteLength"], offset=start)
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"texture {index} cannot be decoded")
    return np.ascontiguousarray(image[..., ::-1])


def _atlas(images: list[np.ndarray]) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Images side by side, and for each the (scale, offset) that takes its uv to the atlas's."""
    height = max(image.shape[0] for image in images)
    width = sum(image.shape[1] for image in images)
    atlas = np.full((height, width, 3), 128, np.uint8)
    maps, left = [], 0
    for image in images:
        h, w = image.shape[:2]
        atlas[:h, left : left + w] = image
        maps.append((np.array([w / width, h / height]), np.array([left / width, 0.0])))
        left += w
    return atlas, maps
