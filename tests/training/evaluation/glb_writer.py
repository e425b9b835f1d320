"""Small glTF binaries for the tests, whole and broken."""

import json
import struct

import cv2
import numpy as np

_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_KINDS = {"float32": 5126, "uint32": 5125, "uint16": 5123, "uint8": 5121}


def pack(document, binary):
    text = json.dumps(document).encode() if isinstance(document, dict) else document
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\x00") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def png(picture):
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


def square(texture=None, change=lambda document: None, extra=None):
    """Bytes of a GLB: the unit square in the plane z = 0, textured, moved by (0, 1, 0), with one change."""
    arrays = {
        "POSITION": np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
        "TEXCOORD_0": np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32),
        "indices": np.array([0, 1, 2, 0, 2, 3], np.uint16),
        **(extra or {}),
    }
    binary, views, accessors, place = b"", [], [], {}
    for name, values in arrays.items():
        place[name] = len(accessors)
        data = values.tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        width = values.shape[1] if values.ndim > 1 else 1
        kind = _KINDS[values.dtype.name]
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": kind, "count": len(values), "type": _TYPES[width]}
        )
        binary += data + bytes(-len(data) % 4)
    attributes = {name: place[name] for name in arrays if name.isupper() or name[-2:] == "_0"}
    primitive = {"attributes": attributes, "indices": place["indices"]}
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "translation": [0, 1, 0]}],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    if texture is not None:
        data = texture if isinstance(texture, bytes) else png(texture)
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        binary += data
        document["images"] = [{"bufferView": len(views) - 1, "mimeType": "image/png"}]
        document["textures"] = [{"source": 0}]
        document["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
        primitive["material"] = 0
    change(document)
    return pack(document, binary)
