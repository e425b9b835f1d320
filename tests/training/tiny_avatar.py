"""Writes a subject as the kind of avatar file that the training data are made from."""

import json
import struct

import cv2
import numpy as np

from pamir_blender.contracts import JOINT_PARENTS

NAMES = [f"bone{number}" for number in range(24)]


def write_glb(path, subject):
    """``subject`` as a skinned glTF binary: one mesh, 24 bones, one picture."""
    strongest = np.argsort(-subject.weights, axis=1)[:, :4]
    weights = np.take_along_axis(subject.weights, strongest, axis=1)
    inverse = np.tile(np.eye(4, dtype=np.float32), (24, 1, 1))
    inverse[:, :3, 3] = -subject.joints
    _, picture = cv2.imencode(".png", subject.texture[..., ::-1])
    arrays = [
        (subject.vertices.astype("<f4"), 5126, "VEC3"),
        (subject.uv.astype("<f4"), 5126, "VEC2"),
        (strongest.astype("<u1"), 5121, "VEC4"),
        ((weights / weights.sum(axis=1, keepdims=True)).astype("<f4"), 5126, "VEC4"),
        (subject.faces.reshape(-1).astype("<u4"), 5125, "SCALAR"),
        (inverse.transpose(0, 2, 1).astype("<f4"), 5126, "MAT4"),
    ]
    binary, views, accessors = b"", [], []
    for values, kind, shape in arrays:
        data = np.ascontiguousarray(values).tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": kind, "count": len(values), "type": shape}
        )
        binary += data + bytes(-len(data) % 4)
    views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(picture)})
    binary += picture.tobytes() + bytes(-len(picture) % 4)
    children = [[k for k, parent in enumerate(JOINT_PARENTS) if parent == j] for j in range(24)]
    bones = [
        {"name": name} | ({"children": below} if below else {})
        for name, below in zip(NAMES, children, strict=True)
    ]
    attributes = {"POSITION": 0, "TEXCOORD_0": 1, "JOINTS_0": 2, "WEIGHTS_0": 3}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        "images": [{"bufferView": 6, "mimeType": "image/png"}],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "meshes": [
            {
                "name": "body",
                "primitives": [{"attributes": attributes, "indices": 4, "material": 0}],
            }
        ],
        "skins": [{"joints": list(range(24)), "inverseBindMatrices": 5}],
        "nodes": [*bones, {"name": "body", "mesh": 0, "skin": 0}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\x00") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
