"""One rigged, textured character as a glTF 2.0 binary (.glb).

glTF's axes are the character frame's: metres, y up, the person looking along +z. The bind pose is the T-pose;
the joints' rotations hold the pose of the photo.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pygltflib as gltf
from scipy.spatial.transform import Rotation

from ..contracts import JOINT_NAMES, JOINT_PARENTS
from .mesh import vertex_normals

ROUGHNESS = 0.9
_TYPES = {1: gltf.SCALAR, 2: gltf.VEC2, 3: gltf.VEC3, 4: gltf.VEC4, 16: gltf.MAT4}
_COMPONENTS = {
    "float32": gltf.FLOAT,
    "uint8": gltf.UNSIGNED_BYTE,
    "uint16": gltf.UNSIGNED_SHORT,
    "uint32": gltf.UNSIGNED_INT,
}


def write_glb(
    path: Path,
    *,
    vertices: np.ndarray,
    faces: np.ndarray,
    corner_uv: np.ndarray,
    joints: np.ndarray,
    weights: np.ndarray,
    joints_rest: np.ndarray,
    pose: np.ndarray,
    body_offset: np.ndarray,
    texture: np.ndarray | bytes,
    jpeg_quality: int | None = None,
    name: str = "clothed",
) -> None:
    """Write one skinned mesh on the 24 SMPL joints.

    ``vertices`` (W, 3) metres in the T-pose, ``faces`` (F, 3), ``corner_uv`` (F, 3, 2) v up; ``joints``
    (W, 4) uint8 and ``weights`` (W, 4) float32 summing to 1; ``joints_rest`` (24, 3) metres, in the vertices'
    frame; ``pose`` (24, 3) axis-angle; ``body_offset`` (3,) metres added to the posed character.
    ``texture`` (H, W, 3) uint8 goes in as PNG, or as JPEG of ``jpeg_quality``; or it is a PNG file's bytes.
    """
    parts = _Buffer()
    source, corner = _split_at_seams(faces, corner_uv)
    positions = vertices[source].astype(np.float32)
    attributes = gltf.Attributes(
        POSITION=parts.add(positions, gltf.ARRAY_BUFFER, bounds=True),
        NORMAL=parts.add(_unit(vertex_normals(vertices, faces)[source]), gltf.ARRAY_BUFFER),
        TEXCOORD_0=parts.add(_uv(corner_uv, corner, len(source)), gltf.ARRAY_BUFFER),
        JOINTS_0=parts.add(joints[source].astype(np.uint8), gltf.ARRAY_BUFFER),
        WEIGHTS_0=parts.add(weights[source].astype(np.float32), gltf.ARRAY_BUFFER),
    )
    index_type = np.uint16 if len(source) < 65535 else np.uint32
    indices = parts.add(corner.reshape(-1, 1).astype(index_type), gltf.ELEMENT_ARRAY_BUFFER)
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (len(JOINT_NAMES), 1, 1))
    inverse_bind[:, 3, :3] = -joints_rest  # column-major
    bind = parts.add(inverse_bind.reshape(-1, 16), None)
    image_type, image_bytes = _encode(texture, jpeg_quality)
    image = parts.add_bytes(image_bytes)

    skeleton = _joint_nodes(joints_rest, pose, body_offset, first=1)
    document = gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator="PaMIR for Blender"),
        scene=0,
        scenes=[gltf.Scene(nodes=[0, 1])],
        nodes=[gltf.Node(name=name, mesh=0, skin=0), *skeleton],
        skins=[gltf.Skin(name="SMPL", inverseBindMatrices=bind, skeleton=1, joints=list(range(1, 25)))],
        meshes=[
            gltf.Mesh(
                name=name, primitives=[gltf.Primitive(attributes=attributes, indices=indices, material=0)]
            )
        ],
        materials=[
            gltf.Material(
                name=name,
                pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                    baseColorTexture=gltf.TextureInfo(index=0), metallicFactor=0.0, roughnessFactor=ROUGHNESS
                ),
                alphaCutoff=None,
            )
        ],
        textures=[gltf.Texture(source=0, sampler=0)],
        samplers=[
            gltf.Sampler(
                magFilter=gltf.LINEAR,
                minFilter=gltf.LINEAR_MIPMAP_LINEAR,
                wrapS=gltf.CLAMP_TO_EDGE,
                wrapT=gltf.CLAMP_TO_EDGE,
            )
        ],
        images=[gltf.Image(name=name, mimeType=image_type, bufferView=image)],
        accessors=parts.accessors,
        bufferViews=parts.views,
        buffers=[gltf.Buffer(byteLength=len(parts.data))],
    )
    document.set_binary_blob(bytes(parts.data))
    Path(path).write_bytes(b"".join(document.save_to_bytes()))


class _Buffer:
    """The binary chunk and the views and accessors into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[gltf.BufferView] = []
        self.accessors: list[gltf.Accessor] = []

    def add_bytes(self, content: bytes, target: int | None = None) -> int:
        """Append bytes, aligned to four, and return the index of their view."""
        self.views.append(
            gltf.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(content), target=target)
        )
        self.data += content + bytes(-len(content) % 4)
        return len(self.views) - 1

    def add(self, array: np.ndarray, target: int | None, bounds: bool = False) -> int:
        """Append an array (N, components) and return the index of its accessor."""
        view = self.add_bytes(np.ascontiguousarray(array).tobytes(), target)
        self.accessors.append(
            gltf.Accessor(
                bufferView=view,
                componentType=_COMPONENTS[array.dtype.name],
                count=len(array),
                type=_TYPES[array.shape[1]],
                min=array.min(0).tolist() if bounds else None,
                max=array.max(0).tolist() if bounds else None,
            )
        )
        return len(self.accessors) - 1


def _split_at_seams(faces: np.ndarray, corner_uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """glTF has one uv a vertex: each split vertex' original (N,), and faces (F, 3) of split vertices."""
    vertex, uv = faces.reshape(-1).astype(np.int64), corner_uv.reshape(-1, 2).astype(np.float32)
    order = np.lexsort((uv[:, 1], uv[:, 0], vertex))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(vertex[order]) != 0) | (np.diff(uv[order], axis=0) != 0).any(1)
    corner = np.empty(len(order), np.int64)
    corner[order] = np.cumsum(new) - 1
    return vertex[order][new], corner.reshape(-1, 3)


def _uv(corner_uv: np.ndarray, corner: np.ndarray, count: int) -> np.ndarray:
    """(N, 2) float32 of the split vertices; glTF counts v from the top."""
    uv = np.empty((count, 2), np.float32)
    uv[corner.reshape(-1)] = corner_uv.reshape(-1, 2)
    uv[:, 1] = 1 - uv[:, 1]
    return uv


def _unit(normals: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(normals.astype(np.float64), axis=1, keepdims=True)
    return (normals / length).astype(np.float32)


def _encode(texture: np.ndarray | bytes, jpeg_quality: int | None) -> tuple[str, bytes]:
    """MIME type and file bytes of an RGB picture."""
    if isinstance(texture, bytes):
        return "image/png", texture
    picture = cv2.cvtColor(texture, cv2.COLOR_RGB2BGR)
    if jpeg_quality is None:
        done, content = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    else:
        done, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    if not done:
        raise ValueError("the texture cannot be encoded")
    return ("image/png" if jpeg_quality is None else "image/jpeg"), content.tobytes()


def _joint_nodes(
    joints_rest: np.ndarray, pose: np.ndarray, body_offset: np.ndarray, first: int
) -> list[gltf.Node]:
    """The joints as nodes, the pelvis being node ``first``."""
    rotations = Rotation.from_rotvec(np.asarray(pose, np.float64).reshape(-1, 3)).as_quat()
    nodes = []
    for joint, (name, parent) in enumerate(zip(JOINT_NAMES, JOINT_PARENTS, strict=True)):
        origin = -np.asarray(body_offset) if parent < 0 else joints_rest[parent]
        children = [first + child for child, above in enumerate(JOINT_PARENTS) if above == joint]
        nodes.append(
            gltf.Node(
                name=name,
                translation=(np.asarray(joints_rest[joint], np.float64) - origin).tolist(),
                rotation=rotations[joint].tolist(),
                children=children,
            )
        )
    return nodes
