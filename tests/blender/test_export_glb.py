"""Exporting a character and leaving the scene as it was."""

import json
import struct

import bpy
import pytest

from pamir_blender.addon.scene import import_result, ownership
from pamir_blender.addon.scene.read_result import read_result


def gltf_json(path):
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, _ = struct.unpack_from("<II", content, 12)
    return json.loads(content[20 : 20 + size])


@pytest.mark.parametrize("with_body", [False, True])
def test_export(addon, result_folder, tmp_path, snapshot, with_body):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    bpy.context.view_layer.objects.active = ownership.find_object("abc", "clothed")
    before = snapshot()
    path = tmp_path / "out.glb"
    assert bpy.ops.pamir.export_glb(filepath=str(path), with_body=with_body) == {"FINISHED"}
    scene = gltf_json(path)
    assert len(scene["meshes"]) == 1 + with_body
    (skin, *_) = scene["skins"]
    assert len(skin["joints"]) == 24
    assert not any("Cube" in node["name"] for node in scene["nodes"])
    assert len(scene["images"]) == 1
    after = snapshot()
    assert {k: after[k] for k in ("selected", "active", "mode", "scene", "camera")} == {
        k: before[k] for k in ("selected", "active", "mode", "scene", "camera")
    }
    assert ownership.find_object("abc", "body").hide_get()


def test_export_to_a_place_that_cannot_be_written(addon, result_folder, tmp_path):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError):
        bpy.ops.pamir.export_glb(filepath=str(tmp_path / "file" / "x.glb"))
