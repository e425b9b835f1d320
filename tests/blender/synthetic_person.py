"""A small made-up person and its result folder; numpy only, for the tests of the add-on and their worker."""

import json
import struct
import zlib

import numpy as np

# SMPL's joint order; metres, y up, facing +z, left = +x.
LEFT = {
    "hip": (0.06, -0.33, 0.0), "knee": (0.11, -0.71, 0.0), "ankle": (0.10, -1.11, -0.04),
    "foot": (0.13, -1.17, 0.08), "collar": (0.08, 0.06, -0.02), "shoulder": (0.17, 0.09, -0.02),
    "elbow": (0.43, 0.08, -0.04), "wrist": (0.68, 0.08, -0.04), "hand": (0.77, 0.08, -0.05),
}  # fmt: skip
MIDDLE = {
    "pelvis": (0.0, -0.24, 0.0), "spine1": (0.0, -0.13, -0.02), "spine2": (0.0, 0.0, -0.01),
    "spine3": (0.0, 0.05, 0.0), "neck": (0.0, 0.24, -0.03), "head": (0.01, 0.31, 0.0),
}  # fmt: skip
ORDER = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hand", "right_hand",
)  # fmt: skip
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
PHOTO_SIZE = (300, 400)
FRAME_SCALE, FRAME_ORIGIN = 0.5, np.array([0.01, -0.4, 0.02])


def joints():
    """(24, 3) rest joints."""
    place = dict(MIDDLE)
    for name, (x, y, z) in LEFT.items():
        place[f"left_{name}"], place[f"right_{name}"] = (x, y, z), (-x, y, z)
    return np.array([place[name] for name in ORDER])


def _tubes(rest, radius, sides, rings):
    """Vertices (V, 3) and triangles (F, 3) of a closed tube around each bone, plus a ball for the head."""
    vertices, faces = [], []
    segments = [(rest[p], rest[i]) for i, p in enumerate(PARENTS) if p >= 0]
    segments.append((rest[15], rest[15] + (0, 0.22, 0)))
    for start, end in segments:
        axis = (end - start) / np.linalg.norm(end - start)
        side = np.cross(axis, (0.3, 0.2, 0.9))
        side /= np.linalg.norm(side)
        other = np.cross(axis, side)
        base = sum(len(v) for v in vertices)
        turn = np.arange(sides) * 2 * np.pi / sides
        circle = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * other
        levels = np.linspace(-0.02, 1.02, rings)[:, None, None]
        tube = (start + levels * (end - start)) + radius * circle
        vertices.append(np.concatenate([tube.reshape(-1, 3), start[None], end[None]]))
        for r in range(rings - 1):
            for s in range(sides):
                a, b = r * sides + s, r * sides + (s + 1) % sides
                faces += [
                    (base + a, base + b, base + b + sides),
                    (base + a, base + b + sides, base + a + sides),
                ]
        last = base + rings * sides
        for s in range(sides):
            t = (s + 1) % sides
            top = base + (rings - 1) * sides
            faces += [(last, base + t, base + s), (last + 1, top + s, top + t)]
    return np.concatenate(vertices), np.array(faces)


def _weights(vertices, rest):
    """Four nearest joints of each vertex, (V, 4) indices and weights."""
    distance = np.linalg.norm(vertices[:, None] - rest, axis=-1)
    indices = np.argsort(distance, axis=1)[:, :4]
    near = np.exp(-np.take_along_axis(distance, indices, 1) / 0.05)
    return indices.astype(np.uint8), near / near.sum(1, keepdims=True)


def scene_arrays(seed=0, bend=0.35):
    """Everything that scene.npz holds."""
    rng = np.random.default_rng(seed)
    rest = joints()
    body, body_faces = _tubes(rest, 0.055, 8, 5)
    clothed, clothed_faces = _tubes(rest, 0.075, 10, 7)
    betas = rng.normal(0, 1.5, 10)
    shapedirs = rng.normal(0, 0.002, (1, 3, 10)) * (1 + np.abs(body[:, :, None]))
    pose = rng.normal(0, bend, (24, 3))
    pose[0] = (0.1, 0.6, -0.05)
    body_joints, body_weights = _weights(body, rest)
    clothed_joints, clothed_weights = _weights(clothed, rest)
    arrays = {
        "joints_rest": rest, "pose": pose, "betas": betas, "body_offset": np.array([0.02, 1.21, 0.03]),
        "body_template": body, "body_shapedirs": shapedirs,
        "body_pose_corrective": rng.normal(0, 0.003, body.shape), "body_faces": body_faces,
        "body_weights_indices": body_joints, "body_weights": body_weights,
        "joints_template": rest, "joints_shapedirs": np.zeros((24, 3, 10)),
        "camera_location": np.array([0.0, -5.0, 0.95]), "camera_ortho_scale": np.array(2.4),
        "camera_resolution": np.array(PHOTO_SIZE),
        "clothed_vertices_rest": clothed, "clothed_faces": clothed_faces,
        "clothed_corner_uv": rng.random((len(clothed_faces), 3, 2)),
        "clothed_weights_indices": clothed_joints, "clothed_weights": clothed_weights,
    }  # fmt: skip
    stored = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    place = FRAME_ORIGIN + FRAME_SCALE * stored["body_offset"].astype(float)
    return {**stored, "body_placement": np.array([FRAME_SCALE, *place])}


def regenerated_arrays(body):
    """The same person for a :class:`pamir_blender.body_state.BodyState`; the same body, the same numbers.

    The clothed surface bulges with what was turned, and other betas move the joints.
    """
    arrays = scene_arrays()
    first = {name: arrays[name].copy() for name in ("pose", "betas")}
    arrays["pose"], arrays["betas"] = (np.array(v, np.float32) for v in (body.pose, body.betas))
    arrays["body_placement"] = np.array([body.scale, *body.translation])
    offset = (np.array(body.translation) - body.frame_origin) / body.frame_scale
    arrays["body_offset"] = offset.astype(np.float32)
    turned = np.linalg.norm(arrays["pose"] - first["pose"], axis=1)
    bulge = 0.02 * turned[arrays["clothed_weights_indices"][:, 0]]
    arrays["clothed_vertices_rest"] *= (1 + bulge)[:, None].astype(np.float32)
    wider = 0.003 * (arrays["betas"] - first["betas"]).sum()
    arrays["joints_rest"] *= np.float32(1 + wider)
    arrays["body_pose_corrective"] += np.float32(0.001) * turned.sum(dtype=np.float32)
    return arrays


def preview_arrays(arrays):
    """What the scene of a preview holds of the arrays."""
    kept = {name: array for name, array in arrays.items() if name != "clothed_corner_uv"}
    count = len(arrays["clothed_vertices_rest"])
    return {**kept, "clothed_colors": np.tile(np.uint8([200, 80, 60]), (count, 1))}


def body_arrays(arrays):
    """The part of the arrays that is known when the body is."""
    return {name: array for name, array in arrays.items() if not name.startswith("clothed")}


def result_json(
    photo, arrays=None, kind="estimate", edited=(), flipped=(), held=(), optimisation=None, options=None
):
    """Everything that result.json holds."""
    arrays = scene_arrays() if arrays is None else arrays
    confidence = {
        "torso": 0.95,
        "head": 0.8,
        "left_arm": 0.3,
        "right_arm": 0.9,
        "left_leg": 0.7,
        "right_leg": 0.6,
    }
    return {
        "format": 1,
        "version": "0.1.0",
        "photo": {"path": str(photo), "digest": "d" * 64, "size": list(PHOTO_SIZE), "mask_source": "detector",
                  "warnings": ["The left arm is hidden; its pose was guessed."]},
        "options": {"photo": str(photo), "resolution": 256, "seed": 0, "size": "lite", **(options or {})},
        "hypothesis": {"kind": kind, "edited": list(edited), "flipped": list(flipped), "held": list(held)},
        "optimisation": optimisation,
        "camera": {"frame_scale": FRAME_SCALE, "frame_origin": list(FRAME_ORIGIN)},
        "weights": {"geometry": "a" * 64, "texture": "b" * 64},
        "body": {"model": "open", "betas": [0.0] * 10, "pose": [[0.0] * 3] * 24, "confidence": confidence,
                 "scale": float(arrays["body_placement"][0]),
                 "translation": arrays["body_placement"][1:].tolist()},
        "silhouette_iou": 0.93,
        "timings": {"photo": 0.1},
    }  # fmt: skip


def write_png(path, pixels):
    """Write (H, W, 3) uint8 as a PNG."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def write_photo(path):
    """A photo of coloured stripes."""
    width, height = PHOTO_SIZE
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(60, 230, height)[:, None]
    pixels[..., 1] = np.linspace(230, 60, width)
    pixels[::20] = 255
    write_png(path, pixels)
    return path


def write_texture(path):
    """A checkered texture."""
    y, x = np.mgrid[:64, :64] // 8
    pixels = np.where(((x + y) % 2)[..., None] == 0, (200, 80, 60), (60, 90, 200)).astype(np.uint8)
    write_png(path, pixels)


def write_folder(folder, arrays, photo, *, early=False, preview=False, **told):
    """Write a result folder, or the early folder that a running job shows its body in, or a preview."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = body_arrays(arrays) if early else preview_arrays(arrays) if preview else arrays
    np.savez(folder / "scene.npz", **arrays)
    (folder / "result.json").write_text(json.dumps(result_json(photo, arrays, **told)), "utf-8")
    if not early and not preview:
        write_texture(folder / "texture.png")
        write_texture(folder / "thumbnail.png")
    return folder


def skin(rest, joint_indices, weights, rest_joints, pose, offset):
    """Linear blend skinning (SMPL, eqs. 2-4), written independently of the package: (V, 3) metres."""
    transforms = []
    for i, parent in enumerate(PARENTS):
        local = np.eye(4)
        angle = np.linalg.norm(pose[i])
        if angle > 0:
            x, y, z = pose[i] / angle
            k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            local[:3, :3] += np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
        local[:3, 3] = rest_joints[i] - (rest_joints[parent] if parent >= 0 else 0)
        transforms.append(transforms[parent] @ local if parent >= 0 else local)
    transforms = np.array(transforms)
    transforms[:, :3, 3] -= np.einsum("nij,nj->ni", transforms[:, :3, :3], rest_joints)
    blended = np.einsum("vk,vkij->vij", weights, transforms[joint_indices])
    return np.einsum("vij,vj->vi", blended[:, :3, :3], rest) + blended[:, :3, 3] + offset
