"""The body over the photo, and limbs coloured by confidence."""

import bpy
import numpy as np
import pytest

from pamir_blender.addon.scene import hypotheses, import_result, overlay, ownership
from pamir_blender.addon.scene.read_result import read_result
from pamir_blender.contracts import LIMBS


@pytest.fixture
def character(addon, result_folder):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    return {role: ownership.find_object("abc", role) for role in ("armature", "body", "clothed", "camera")}


@pytest.mark.parametrize("display", ["WIRE", "SOLID", "XRAY", "HIDDEN"])
def test_the_body_is_shown_as_asked_and_read_back(character, display):
    body = character["body"]
    assert overlay.body_display(body) == "HIDDEN"
    bpy.ops.pamir.show_body(display="XRAY")
    assert bpy.ops.pamir.show_body(display=display) == {"FINISHED"}
    assert overlay.body_display(body) == display
    assert body.show_in_front == (display in ("WIRE", "XRAY"))
    alpha = body.data.materials[0].diffuse_color[3]
    assert (alpha < 1) == (display == "XRAY")


def test_undo_of_a_display(character):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.pamir.show_body("EXEC_DEFAULT", True, display="WIRE")
    bpy.ops.ed.undo()
    assert overlay.body_display(ownership.find_object("abc", "body")) == "HIDDEN"


def test_the_photos_opacity_is_the_cameras_own(character):
    photo = overlay.photo_of(character["camera"])
    assert photo == character["camera"].data.background_images[0]
    character["camera"].data.background_images.clear()
    assert overlay.photo_of(character["camera"]) is None and overlay.photo_of(None) is None


def test_doubtful_bones_are_red_and_sure_ones_green(character):
    armature, body = character["armature"], character["body"]
    bpy.ops.pamir.color_confidence()
    color = {b.name: np.array(b.color.custom.normal) for b in armature.pose.bones}
    assert all(b.color.palette == "CUSTOM" for b in armature.pose.bones)
    # 30 % sure of the left arm, 90 % of the right one.
    assert color["left_elbow"][0] > color["left_elbow"][1]
    assert color["right_elbow"][1] > color["right_elbow"][0]
    layer = body.data.color_attributes[overlay.CONFIDENCE]
    rgba = np.empty(4 * len(body.data.vertices), np.float32)
    layer.data.foreach_get("color_srgb", rgba)
    found = {tuple(c.round(2)) for c in rgba.reshape(-1, 4)[:, :3]}
    assert len(found) == len(LIMBS)
    bpy.ops.pamir.color_confidence()
    assert all(b.color.palette == "DEFAULT" for b in armature.pose.bones)
    assert overlay.CONFIDENCE not in body.data.color_attributes


def test_colours_follow_the_active_hypothesis(character, tmp_path, arrays, photo):
    import json

    import synthetic_person as person

    bpy.ops.pamir.color_confidence()
    folder = person.write_folder(tmp_path / "sure", arrays, photo("fine"))
    told = json.loads((folder / "result.json").read_text())
    told["body"]["confidence"] = dict.fromkeys(LIMBS, 1.0)
    (folder / "result.json").write_text(json.dumps(told))
    hypotheses.add(ownership.find_collection("abc"), read_result(folder), "uid2")
    color = character["armature"].pose.bones["left_elbow"].color.custom.normal
    assert np.array(color) == pytest.approx(overlay.TRUST, abs=0.01)
    ownership.find_collection("abc").pamir.active_index = 0
    color = character["armature"].pose.bones["left_elbow"].color.custom.normal
    assert color[0] > color[1]


def test_buttons_say_why_they_are_off(addon, result_folder):
    for name in ("show_body", "color_confidence"):
        with pytest.raises(RuntimeError, match="Select a PaMIR character"):
            getattr(bpy.ops.pamir, name)()
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    bpy.data.objects.remove(ownership.find_object("abc", "body"))
    with pytest.raises(RuntimeError, match="that has its body"):
        bpy.ops.pamir.show_body()
    assert bpy.ops.pamir.color_confidence() == {"FINISHED"}
