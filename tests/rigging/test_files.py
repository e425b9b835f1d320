"""Files and pictures: glTF with its skeleton, PLY, OBJ, silhouettes and previews."""

import json
import struct

import cv2
import numpy as np
import pytest
from capsule_figure import surface
from scipy.spatial.transform import Rotation

from pamir_blender.camera import CropWindow
from pamir_blender.contracts import JOINT_NAMES
from pamir_blender.rigging.atlas import build_atlas
from pamir_blender.rigging.gltf import write_glb
from pamir_blender.rigging.mesh_files import write_obj, write_ply
from pamir_blender.rigging.preview import preview, render, silhouette, silhouette_iou
from pamir_blender.rigging.rest_pose import pose, unpose
from pamir_blender.rigging.skin_weights import transfer_skin_weights

OFFSET = np.array([0.1, 0.95, -0.2])


def read_glb(path):
    """The document and a function that gives an accessor's or a view's content."""
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    document = json.loads(data[20 : 20 + size])
    binary = data[28 + size :]

    def view(index):
        at = document["bufferViews"][index]
        return binary[at.get("byteOffset", 0) : at.get("byteOffset", 0) + at["byteLength"]]

    def accessor(index):
        at = document["accessors"][index]
        dtype = {5126: "<f4", 5121: "u1", 5123: "<u2", 5125: "<u4"}[at["componentType"]]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}[at["type"]]
        return np.frombuffer(view(at["bufferView"]), dtype).reshape(at["count"], width)

    return document, view, accessor


@pytest.fixture(scope="module")
def rigged(figure):
    joints, weights = transfer_skin_weights(
        figure.body, figure.body_faces, figure.body_weights, figure.vertices, figure.faces
    )
    return unpose(figure.vertices, joints, weights, figure.transforms)


@pytest.mark.parametrize("jpeg_quality", [None, 90])
def test_glb_poses_like_the_photo(figure, rigged, tmp_path, jpeg_quality):
    atlas = build_atlas(figure.vertices, figure.faces, size=512)
    texture = np.zeros((512, 512, 3), np.uint8)
    texture[:256] = (200, 30, 10)
    path = tmp_path / "person.glb"
    write_glb(
        path, vertices=rigged.vertices, faces=figure.faces, corner_uv=atlas.corner_uv, joints=rigged.joints,
        weights=rigged.weights, joints_rest=figure.joints_rest, pose=figure.angles, body_offset=OFFSET,
        texture=texture, jpeg_quality=jpeg_quality,
    )  # fmt: skip
    document, view, accessor = read_glb(path)
    nodes, skin = document["nodes"], document["skins"][0]
    assert [nodes[i]["name"] for i in skin["joints"]] == list(JOINT_NAMES)
    primitive = document["meshes"][0]["primitives"][0]
    attributes = primitive["attributes"]
    assert set(attributes) == {"POSITION", "NORMAL", "TEXCOORD_0", "JOINTS_0", "WEIGHTS_0"}

    world = {}

    def visit(index, above):
        node = nodes[index]
        local = np.eye(4)
        local[:3, :3] = Rotation.from_quat(node["rotation"]).as_matrix()
        local[:3, 3] = node["translation"]
        world[index] = above @ local
        for child in node.get("children", []):
            visit(child, world[index])

    visit(skin["skeleton"], np.eye(4))
    assert len(world) == 24
    inverse = accessor(skin["inverseBindMatrices"]).reshape(24, 4, 4).transpose(0, 2, 1)
    transforms = np.stack([world[joint] for joint in skin["joints"]]) @ inverse
    weights = accessor(attributes["WEIGHTS_0"])
    assert (weights.sum(1) == 1).all()
    posed = pose(accessor(attributes["POSITION"]), accessor(attributes["JOINTS_0"]), weights, transforms)
    indices = accessor(primitive["indices"]).reshape(-1, 3)
    expected = figure.vertices[figure.faces] + OFFSET
    assert np.abs(posed[indices] - expected).max() < 1e-5
    uv = accessor(attributes["TEXCOORD_0"])[indices]
    assert np.allclose(uv, atlas.corner_uv * [1, -1] + [0, 1], atol=1e-6)
    assert len(posed) < 1.3 * len(figure.vertices)
    normals = accessor(attributes["NORMAL"])
    assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 1e-5

    material = document["materials"][0]["pbrMetallicRoughness"]
    assert material["metallicFactor"] == 0
    assert 0.8 <= material["roughnessFactor"] <= 1
    image = document["images"][0]
    assert image["mimeType"] == ("image/png" if jpeg_quality is None else "image/jpeg")
    picture = cv2.imdecode(np.frombuffer(view(image["bufferView"]), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(picture[:200, :, ::-1].astype(int) - (200, 30, 10)).max() < 8


def test_ply_holds_what_was_written(figure, tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (len(figure.vertices), 3)).astype(np.uint8)
    path = tmp_path / "a.ply"
    write_ply(path, figure.vertices, figure.faces, colors)
    header, body = path.read_bytes().split(b"end_header\n", 1)
    assert f"element vertex {len(figure.vertices)}".encode() in header
    point = np.dtype([("place", "<f4", 3), ("color", "u1", 3)])
    points = np.frombuffer(body, point, len(figure.vertices))
    assert np.array_equal(points["place"], figure.vertices)
    assert np.array_equal(points["color"], colors)
    face = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
    faces = np.frombuffer(body, face, offset=points.nbytes)
    assert np.array_equal(faces["corners"], figure.faces)
    assert (faces["count"] == 3).all()
    write_ply(path, figure.vertices, figure.faces)
    assert b"red" not in path.read_bytes().split(b"end_header\n", 1)[0]


def test_obj_holds_what_was_written(figure, tmp_path):
    path = tmp_path / "a.obj"
    write_obj(path, figure.vertices, figure.faces)
    lines = [line.split() for line in path.read_text().splitlines()]
    vertices = np.array([row[1:] for row in lines if row[0] == "v"], float)
    faces = np.array([row[1:] for row in lines if row[0] == "f"], int) - 1
    assert np.abs(vertices - figure.vertices).max() < 1e-6
    assert np.array_equal(faces, figure.faces)


@pytest.mark.parametrize("scale", [0.3, 1.7])
def test_the_silhouette_of_a_ball_is_a_disc(scale):
    vertices, faces = surface(lambda p: np.linalg.norm(p - [0.1, 0.05, 0], axis=1) - 0.3)
    window = CropWindow(scale, (20.0, -15.0))
    width, height = int(600 / scale), int(500 / scale)
    covered = silhouette(vertices, faces, window, (width, height))
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    centre = window.crop_to_photo(np.array([(0.1 + 0.5) * 512, (0.5 - 0.05) * 512]))
    disc = np.hypot(u - centre[0], v - centre[1]) < 0.3 * 512 / scale
    assert silhouette_iou(covered, disc.astype(np.float32)) > 0.985
    assert silhouette_iou(covered, np.zeros((height, width))) == 0


def test_views_from_all_sides():
    """Red towards the viewer, green behind, blue on the left: each seen from where it should be."""
    vertices, faces = surface(lambda p: np.linalg.norm(p, axis=1) - 0.3)
    colors = np.zeros((len(vertices), 3), np.uint8)
    axis = np.abs(vertices).argmax(1)
    colors[(axis == 2) & (vertices[:, 2] > 0)] = (255, 0, 0)
    colors[(axis == 2) & (vertices[:, 2] < 0)] = (0, 255, 0)
    colors[(axis == 0) & (vertices[:, 0] > 0)] = (0, 0, 255)
    crop = np.full((128, 128, 3), 7, np.uint8)
    picture = preview(crop, vertices, faces, colors=colors)
    assert picture.shape == (128, 512, 3)
    assert (picture[:, :128] == 7).all()
    for column, channel in ((1, 0), (2, 2), (3, 1)):
        middle = picture[64, 128 * column + 64].astype(int)
        assert middle.argmax() == channel
        assert middle.max() > 200
        assert (picture[0, 128 * column] == 255).all()
    # From the left the viewer's side is at the left edge of the picture.
    assert picture[64, 256 + 64 - 32, 0] > 100


def test_render_reads_the_texture_upright():
    vertices = np.array([[-0.4, -0.4, 0], [0.4, -0.4, 0], [0.4, 0.4, 0], [-0.4, 0.4, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = (vertices[:, :2] / 0.8 + 0.5)[faces]
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:32, :32] = (255, 0, 0)
    picture = render(vertices, faces, corner_uv=uv, texture=texture, size=128)
    assert picture[32, 32, 0] == 255
    assert picture[96, 32, 0] == 0
    assert picture[32, 96, 0] == 0
