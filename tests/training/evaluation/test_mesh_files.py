"""Meshes from strangers: what is read, and what is refused in words."""

import json
import struct

import numpy as np
import pytest
from glb_writer import pack, png, square

pytest.importorskip("trimesh", reason="trimesh is not installed (extra 'train')")

from pamir_blender.errors import AssetsError
from pamir_blender.training.evaluation import glb, mesh_files, mesh_parts
from pamir_blender.training.evaluation.mesh_files import mesh_paths, read_mesh
from pamir_blender.training.evaluation.mesh_parts import Part, decode_image, join_parts
from pamir_blender.training.evaluation.skeleton_names import smpl_joints
from pamir_blender.training.sampling import texture_colors

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
QUARTERS = np.zeros((8, 8, 3), np.uint8)
QUARTERS[:4, :4], QUARTERS[:4, 4:], QUARTERS[4:, :4], QUARTERS[4:, 4:] = RED, GREEN, BLUE, WHITE
"""As the square shows it: red and green above, blue and white below."""


def colour_at(mesh, x, y):
    """The texture's colour where the square shows (x, y) of its own plane, from its corners' coordinates."""
    corners = mesh.vertices[:, :2] - mesh.vertices[:, :2].min(axis=0)
    system = np.column_stack([corners, np.ones(len(corners))])
    uv = np.array([x, y, 1.0]) @ np.linalg.lstsq(system, mesh.uv.astype(float), rcond=None)[0]
    return tuple(texture_colors(mesh.texture, uv[None])[0])


def check_quarters(mesh):
    assert colour_at(mesh, 0.25, 0.75) == RED
    assert colour_at(mesh, 0.75, 0.75) == GREEN
    assert colour_at(mesh, 0.25, 0.25) == BLUE
    assert colour_at(mesh, 0.75, 0.25) == WHITE


def write(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_a_glb_is_read_where_its_node_puts_it(tmp_path):
    mesh = read_mesh(write(tmp_path, "a.glb", square(QUARTERS)))
    np.testing.assert_allclose(mesh.vertices, [[0, 1, 0], [1, 1, 0], [1, 2, 0], [0, 2, 0]])
    np.testing.assert_allclose(mesh.normals, [[0, 0, 1]] * 4, atol=1e-6)
    assert mesh.joints is None
    check_quarters(mesh)


OBJ = "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl skin\n"
OBJ += "f 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"


def test_an_obj_brings_its_texture(tmp_path):
    write(tmp_path, "a.mtl", "newmtl skin\nmap_Kd picture.png\n")
    write(tmp_path, "picture.png", png(QUARTERS))
    check_quarters(read_mesh(write(tmp_path, "a.obj", OBJ)))


def test_an_obj_reads_no_file_elsewhere(tmp_path):
    secret = write(tmp_path, "secret.png", png(QUARTERS))
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", "a.mtl", f"newmtl skin\nmap_Kd ../secret.png\nmap_Kd {secret}\n")
    mesh = read_mesh(write(tmp_path / "in", "a.obj", OBJ))
    assert not any((mesh.texture.reshape(-1, 3) == RED).all(axis=1))
    (tmp_path / "in" / "link.png").symlink_to(secret)
    write(tmp_path / "in", "a.mtl", "newmtl skin\nmap_Kd link.png\n")
    mesh = read_mesh(tmp_path / "in" / "a.obj")
    assert not any((mesh.texture.reshape(-1, 3) == RED).all(axis=1))


def test_a_ply_shows_its_vertex_colours(tmp_path):
    head = "ply\nformat ascii 1.0\nelement vertex 6\nproperty float x\nproperty float y\nproperty float z\n"
    head += "property uchar red\nproperty uchar green\nproperty uchar blue\nelement face 2\n"
    head += "property list uchar int vertex_indices\nend_header\n"
    corners = ["0 0 0", "1 0 0", "1 1 0", "0 0 0", "1 1 0", "0 1 0"]
    rows = [f"{c} {'255 0 0' if i < 3 else '0 0 255'}\n" for i, c in enumerate(corners)]
    mesh = read_mesh(write(tmp_path, "a.ply", head + "".join(rows) + "3 0 1 2\n3 3 4 5\n"))
    middles = mesh.uv[mesh.faces].mean(axis=1)
    assert [tuple(c) for c in texture_colors(mesh.texture, middles)] == [RED, BLUE]


def test_a_skin_is_posed_by_its_bones(tmp_path):
    """The bone has moved by (0, 0, 2) from where the mesh was bound to it, and the mesh's node is ignored."""
    inverse = np.eye(4, dtype=np.float32)[None].reshape(1, 16)
    extra = {
        "JOINTS_0": np.zeros((4, 4), np.uint8),
        "WEIGHTS_0": np.tile(np.array([1, 0, 0, 0], np.float32), (4, 1)),
        "inverse": inverse,
    }

    def rig(document):
        document["nodes"] = [{"mesh": 0, "skin": 0, "translation": [9, 9, 9]}]
        document["nodes"].append({"name": "mixamorig:Hips", "translation": [0, 0, 2]})
        document["scenes"][0]["nodes"] = [0, 1]
        document["skins"] = [{"joints": [1], "inverseBindMatrices": 5}]

    mesh = read_mesh(write(tmp_path, "a.glb", square(change=rig, extra=extra)))
    np.testing.assert_allclose(mesh.vertices[:, 2], 2.0)
    assert mesh.vertices[:, 0].max() == 1.0
    np.testing.assert_allclose(mesh.joints[0], [0, 0, 2])
    assert np.isnan(mesh.joints[1:]).all()


def edit(**changes):
    """A change of the document: ``key="a.0.b"`` paths and the values they get."""

    def change(document):
        for path, value in changes.values():
            *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
            place = document
            for word in way:
                place = place[word]
            place[last] = value

    return change


BROKEN = {
    "count": edit(a=("accessors.0.count", 10**9)),
    "negative count": edit(a=("accessors.0.count", -4)),
    "beyond the view": edit(a=("accessors.0.byteOffset", 44)),
    "negative offset": edit(a=("accessors.0.byteOffset", -12)),
    "view beyond the file": edit(a=("bufferViews.0.byteLength", 10**6)),
    "stride of nothing": edit(a=("bufferViews.0.byteStride", 0)),
    "no such accessor": edit(a=("meshes.0.primitives.0.indices", 77)),
    "accessor is text": edit(a=("meshes.0.primitives.0.indices", "../x")),
    "another file": edit(a=("buffers.0", {"byteLength": 8, "uri": "file:///etc/passwd"})),
    "nodes in a circle": edit(a=("nodes.0.children", [0])),
    "a matrix of text": edit(a=("nodes.0.matrix", ["x"] * 16)),
    "numbers that are none": edit(a=("nodes.0.translation", [float("nan"), 0, 0])),
    "compressed": edit(a=("extensionsRequired", ["KHR_draco_mesh_compression"])),
    "sparse": edit(a=("accessors.0.sparse", {"count": 1})),
    "incomplete triangles": edit(a=("accessors.2.count", 5)),
    "wrong width": edit(a=("meshes.0.primitives.0.attributes.POSITION", 1)),
    "no triangles": edit(a=("meshes.0.primitives.0.mode", 1)),
    "meshes is a number": edit(a=("meshes", 5)),
    "nodes is text": edit(a=("nodes", "abc")),
    "a number without end": edit(a=("nodes.0.translation", [10**400, 0, 0])),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_glb_is_refused_by_name(tmp_path, name):
    path = write(tmp_path, "person.glb", square(QUARTERS, BROKEN[name]))
    with pytest.raises(AssetsError, match=r"person\.glb cannot be used"):
        read_mesh(path)


WHOLE = square(QUARTERS)
CUT = {
    "empty": b"",
    "header alone": WHOLE[:12],
    "cut": WHOLE[: len(WHOLE) // 2],
    "cut and mended": struct.pack("<4sII", b"glTF", 2, 200) + WHOLE[12:200],
    "not json": pack(b"{[", b""),
    "a list": pack(b"[]", b""),
    "deep": pack(b"[" * 100_000, b""),
    "text": b"solid teapot",
    "a texture that is none": square(b"\x89PNG no picture"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_damaged_glb_is_refused_by_name(tmp_path, name):
    with pytest.raises(AssetsError, match=r"person\.glb cannot be used"):
        read_mesh(write(tmp_path, "person.glb", CUT[name]))


PLY = "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\n"
PLY += "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.ply", b"ply\n"),
        ("a.ply", PLY.format(10**12).encode() + bytes(40)),
        ("a.ply", PLY.format(3).encode() + struct.pack("<9fB3i", *range(9), 3, 0, 1, 99)),
        ("a.ply", PLY.format(3).encode() + struct.pack("<9fB3i", *[np.nan] * 9, 3, 0, 1, 2)),
        ("a.ply", PLY.format(3).encode() + struct.pack("<9fB3i", *[1e30] * 9, 3, 0, 1, 2)),
        ("a.obj", b"f 1 2 3\n"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 999\n"),
        ("a.obj", b""),
    ],
)
def test_other_broken_files_are_refused_by_name(tmp_path, name, data):
    with pytest.raises(AssetsError, match=rf"{name} cannot be used"):
        read_mesh(write(tmp_path, name, data))


def test_large_files_and_pictures_are_not_read(tmp_path, monkeypatch):
    path = write(tmp_path, "a.glb", WHOLE)
    monkeypatch.setitem(mesh_files.MAX_BYTES, ".glb", 100)
    with pytest.raises(AssetsError, match="the limit is"):
        read_mesh(path)
    monkeypatch.setattr(mesh_parts, "MAX_IMAGE_PIXELS", 63)
    with pytest.raises(ValueError, match="8 x 8 pixels is too large"):
        decode_image(png(QUARTERS))
    monkeypatch.setattr(mesh_parts, "MAX_VERTICES", 3)
    with pytest.raises(ValueError, match="the limits are"):
        join_parts([Part(np.zeros((4, 3)), np.array([[0, 1, 2]]))])


def test_one_mesh_shown_by_endless_nodes_is_refused_early(tmp_path, monkeypatch):
    def crowd(document):
        document["nodes"] *= 1000
        document["scenes"][0]["nodes"] = list(range(1000))

    monkeypatch.setattr(mesh_parts, "MAX_FACES", 100)
    built = []
    monkeypatch.setattr(glb, "Part", lambda *values: built.append(Part(*values)) or built[-1])
    path = write(tmp_path, "a.glb", square(change=crowd))
    with pytest.raises(AssetsError, match="Decimate"):
        read_mesh(path)
    assert len(built) == 51
    monkeypatch.setattr(mesh_parts, "MAX_FACES", 10**6)
    monkeypatch.setattr(mesh_parts, "MAX_PARTS", 60)
    with pytest.raises(AssetsError, match="more than 60 parts"):
        read_mesh(path)


def test_textures_share_one_budget(tmp_path, monkeypatch):
    def twice(document):
        document["images"] *= 2
        document["textures"].append({"source": 1})
        document["materials"].append({"pbrMetallicRoughness": {"baseColorTexture": {"index": 1}}})
        first = document["meshes"][0]["primitives"][0]
        document["meshes"][0]["primitives"].append({**first, "material": 1})

    path = write(tmp_path, "a.glb", square(QUARTERS, twice))
    assert read_mesh(path).texture.shape == (8, 16, 3)
    monkeypatch.setattr(mesh_parts, "MAX_TOTAL_PIXELS", 100)
    with pytest.raises(AssetsError, match="textures together"):
        read_mesh(path)
    for name in ("picture.png", "other.png"):
        write(tmp_path, name, png(QUARTERS))
    write(tmp_path, "a.mtl", "newmtl skin\nmap_Kd picture.png\nnewmtl cloth\nmap_Kd other.png\n")
    body = OBJ.replace("f 1/1 3/3 4/4", "usemtl cloth\nf 1/1 3/3 4/4")
    with pytest.raises(AssetsError, match="textures together"):
        read_mesh(write(tmp_path, "a.obj", body))


def test_files_with_any_bytes_changed_are_read_or_refused(tmp_path):
    """Nothing but AssetsError ever comes of a file, and what is read is a mesh."""
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(300):
        data = bytearray(square(QUARTERS))
        for place in rng.integers(12, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        try:
            mesh = read_mesh(write(tmp_path, f"{number}.glb", bytes(data)))
        except AssetsError:
            refused += 1
            continue
        assert np.abs(mesh.vertices).max() < 1e6
        assert mesh.faces.max() < len(mesh.vertices)
    assert 50 < refused < 300


def test_parts_keep_their_own_colours():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    face, uv = np.array([[0, 1, 2]]), np.full((3, 2), 0.5)
    green = np.full((4, 6, 3), GREEN, np.uint8)
    red = np.full((3, 3), RED, np.uint8)
    mesh = join_parts([Part(corners, face, uv, green), Part(corners + 1, face, colors=red)])
    middles = mesh.uv[mesh.faces].mean(axis=1)
    assert [tuple(c) for c in texture_colors(mesh.texture, middles)] == [GREEN, RED]


def test_folders_are_searched_and_empty_ones_refused(tmp_path):
    with pytest.raises(AssetsError, match="no folder"):
        mesh_paths(tmp_path / "none")
    with pytest.raises(AssetsError, match="no mesh"):
        mesh_paths(tmp_path)
    (tmp_path / "b").mkdir()
    wanted = [write(tmp_path / "b", "x.GLB", b""), write(tmp_path, "z.obj", b"")]
    write(tmp_path, "readme.txt", b"")
    assert mesh_paths(tmp_path) == wanted


@pytest.mark.parametrize(
    ("bones", "joint"),
    [
        (["mixamorig:LeftArm", "mixamorig:LeftShoulder"], {16: 0, 13: 1}),
        (["mixamorig:Spine", "mixamorig:Spine1", "mixamorig:Spine2"], {3: 0, 6: 1, 9: 2}),
        (["thigh_l", "calf_l", "foot_l"], {1: 0, 4: 1, 7: 2}),
        (["upper_arm.R", "forearm.R", "hand.R", "shoulder.R"], {17: 0, 19: 1, 21: 2, 14: 3}),
        (["J_Bip_C_Hips", "J_Bip_L_UpperLeg"], {0: 0, 1: 1}),
        (["rightUpperLeg", "rightLowerLeg", "spine", "chest"], {2: 0, 5: 1, 3: 2, 6: 3}),
    ],
)
def test_bones_of_common_rigs_are_known(bones, joint):
    places = np.arange(len(bones) * 3, dtype=float).reshape(-1, 3)
    found = smpl_joints(bones, places)
    assert set(np.flatnonzero(np.isfinite(found).all(axis=1))) == set(joint)
    for index, bone in joint.items():
        np.testing.assert_array_equal(found[index], places[bone])


def test_smpls_own_names_mean_smpls_joints():
    from pamir_blender.contracts import JOINT_NAMES

    places = np.random.default_rng(0).normal(size=(24, 3))
    np.testing.assert_array_equal(smpl_joints(JOINT_NAMES, places), places)
    assert smpl_joints(["Camera", "Lamp"], places[:2]) is None


def test_written_glbs_are_plain_json():
    size = struct.unpack_from("<I", WHOLE, 12)[0]
    assert json.loads(WHOLE[20 : 20 + size])["asset"]["version"] == "2.0"
