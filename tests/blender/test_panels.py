"""The panels, drawn into a layout that checks what Blender's own would check.

The module has no window, so nothing is seen here; but a misspelt icon, property or operator fails.
"""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
import synthetic_person as person

from pamir_blender.addon import panels, panels_hypotheses, preferences
from pamir_blender.addon.backend.places import Found
from pamir_blender.addon.jobs import runner
from pamir_blender.addon.preferences import get_preferences
from pamir_blender.addon.scene import hypotheses, import_result, ownership
from pamir_blender.addon.scene.read_result import read_result

ICONS = {
    item.identifier for item in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
}


class Layout:
    """Takes a panel's calls, refuses what Blender would refuse, and remembers every text."""

    def __init__(self, texts):
        self.__dict__["texts"] = texts

    def __setattr__(self, name, value):
        assert name in bpy.types.UILayout.bl_rna.properties, name

    def _arguments(self, function, given):
        known = bpy.types.UILayout.bl_rna.functions[function].parameters
        assert set(given) <= set(known.keys()), (function, given)
        assert given.get("icon", "NONE") in ICONS, given
        if given.get("text"):
            self.texts.append(given["text"])

    def _part(self, function, given):
        self._arguments(function, given)
        return Layout(self.texts)

    def row(self, **given):
        return self._part("row", given)

    def column(self, **given):
        return self._part("column", given)

    def grid_flow(self, **given):
        return self._part("grid_flow", given)

    def template_list(self, list_class, list_id, data, items, active_data, active, **given):
        arguments = {"listtype_name": list_class, "list_id": list_id, "dataptr": data, "propname": items}
        arguments |= {"active_dataptr": active_data, "active_propname": active, **given}
        self._arguments("template_list", arguments)
        assert items in data.bl_rna.properties and active in active_data.bl_rna.properties
        draw_item = getattr(bpy.types, list_class).draw_item
        for index, item in enumerate(getattr(data, items)):
            draw_item(None, bpy.context, Layout(self.texts), data, item, 0, active_data, active, index)
            self.texts.append(item.name)

    def box(self, **given):
        return self._part("box", given)

    def separator(self, **given):
        self._arguments("separator", given)

    def label(self, **given):
        self._arguments("label", given)

    def progress(self, **given):
        self._arguments("progress", given)
        assert 0 <= given["factor"] <= 1

    def template_icon(self, **given):
        self._arguments("template_icon", given)
        self.texts.append("<preview>")

    def panel(self, idname, **given):
        self._arguments("panel", {"idname": idname, **given})
        return Layout(self.texts), Layout(self.texts)

    def prop(self, data, name, **given):
        self._arguments("prop", {"data": data, "property": name, **given})
        rna = data.bl_rna.properties[name]
        if "text" not in given:
            self.texts.append(rna.name)

    def operator(self, name, **given):
        self._arguments("operator", {"operator": name, **given})
        module, function = name.split(".")
        rna = getattr(getattr(bpy.ops, module), function).get_rna_type()
        if "text" not in given:
            self.texts.append(rna.name)

        class Properties:
            def __setattr__(self, key, value):
                assert key in rna.properties, (name, key)

        return Properties()


class Panel:
    def __init__(self, texts):
        self.layout = Layout(texts)


def drawn(cls):
    texts = []
    panel = Panel(texts)
    for name, value in vars(cls).items():
        if name.startswith("_draw"):
            setattr(panel, name, value.__get__(panel))
    cls.draw(panel, bpy.context)
    return texts


def test_tab_and_order(addon):
    assert {cls.bl_category for cls in panels.CLASSES} == {"PaMIR"}
    assert all(cls.bl_space_type == "VIEW_3D" and cls.bl_region_type == "UI" for cls in panels.CLASSES)


def test_without_a_photo_the_first_thing_is_to_choose_one(addon):
    texts = drawn(panels.PAMIR_PT_photo)
    assert texts[0] == "Choose Photo" and "Reconstruct from Image" in texts


def test_with_a_photo_its_preview_and_name_are_shown(addon, photo, monkeypatch):
    # Blender makes no previews without a window.
    monkeypatch.setattr(panels.previews, "photo_icon", lambda path: 7)
    bpy.context.scene.pamir.photo_path = photo("fine")
    texts = drawn(panels.PAMIR_PT_photo)
    assert texts[:2] == ["<preview>", "fine.png"]


def test_a_photo_that_is_gone_is_said_to_be(addon):
    bpy.context.scene.pamir.photo_path = "/nowhere/gone.png"
    assert "Not found: gone.png" in drawn(panels.PAMIR_PT_photo)


def test_without_a_python_the_panel_says_so(addon, monkeypatch):
    get_preferences().worker_python = ""
    monkeypatch.setattr(preferences, "default_backend", lambda: Found(""))
    assert any("Python" in text for text in drawn(panels.PAMIR_PT_photo))


def test_while_running_the_bar_names_the_stage_and_offers_to_cancel(addon, monkeypatch):
    monkeypatch.setattr(runner, "job", SimpleNamespace(yields=False))
    state = bpy.context.window_manager.pamir
    state.running, state.message, state.progress = True, "Fitting the body", 0.42
    texts = drawn(panels.PAMIR_PT_photo)
    assert "Fitting the body  42%" in texts and "Cancel (Esc)" in texts
    assert "Reconstruct from Image" not in texts
    monkeypatch.setattr(runner, "job", None)


def test_errors_are_shown_as_text(addon):
    state = bpy.context.window_manager.pamir
    state.error = "Nobody was found in beach.jpg. " * 5
    state.log = "/tmp/worker.log"
    texts = drawn(panels.PAMIR_PT_photo)
    assert sum("Nobody" in t or "beach" in t for t in texts) >= 3 and "Open Log" in texts


def test_options_and_preferences_draw(addon):
    assert "Resolution" in drawn(panels.PAMIR_PT_options)
    page = Panel([])
    for name in preferences.PAMIR_AP_preferences.__annotations__:
        setattr(page, name, "")
    page.bl_rna = preferences.PAMIR_AP_preferences.bl_rna
    preferences.PAMIR_AP_preferences.draw(page, bpy.context)
    assert {"Worker's Python", "Device", "Body Model", "Check Backend"} <= set(page.layout.texts)


def test_the_character_panel_names_doubtful_limbs_and_warnings(addon, result_folder):
    assert any("Select a PaMIR character" in t for t in drawn(panels.PAMIR_PT_character))
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    texts = drawn(panels.PAMIR_PT_character)
    together = " ".join(texts)
    assert "PaMIR fine" in texts and "Left arm  30%" in texts and "Doubtful pose: left arm." in together
    assert "The left arm is hidden" in together and "Outline matches the photo: 93%" in texts
    # The three parts, then the label before the ways to show the body.
    assert [t for t in texts if t in ("Clothes", "Body", "Bones")] == ["Clothes", "Body", "Bones", "Body"]


def test_the_character_panel_survives_edited_properties(addon, result_folder):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    collection = ownership.find_collection("abc")
    for rubbish in ("{", 3, json.dumps([1]), json.dumps({"torso": "x"})):
        collection["pamir_confidence"] = rubbish
        assert "cannot be read" in " ".join(drawn(panels.PAMIR_PT_character))


def test_the_hypotheses_panel_lists_them(addon, result_folder):
    assert any("Select a PaMIR character" in t for t in drawn(panels_hypotheses.PAMIR_PT_hypotheses))
    assert not panels_hypotheses.PAMIR_PT_pose_tools.poll(bpy.context)
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    bpy.ops.pamir.duplicate_hypothesis()
    entry = ownership.find_collection("abc").pamir.hypotheses[1]
    entry.edited, entry.flipped = "left_elbow,left_wrist,head", "right_arm"
    texts = drawn(panels_hypotheses.PAMIR_PT_hypotheses)
    for expected in ("Regenerate", "Optimise the Rest", "Suggest Hypotheses", "Estimate", "Estimate 2"):
        assert expected in texts
    ownership.find_collection("abc").pamir.active_index = 1
    texts += drawn(panels_hypotheses.PAMIR_PT_hypotheses)
    together = " ".join(texts)
    assert (
        "Changed: head, left elbow, left wrist, right arm flipped" in together
        and entry.created[11:16] in texts
    )
    assert panels_hypotheses.PAMIR_PT_pose_tools.poll(bpy.context)
    assert {"Left arm", "Yaw", "Pitch", "Reset to Hypothesis"} <= set(
        drawn(panels_hypotheses.PAMIR_PT_pose_tools)
    )


def test_what_is_lost_is_reported_with_its_remedy(addon, result_folder, photo):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    assert "Recompute Files" not in drawn(panels_hypotheses.PAMIR_PT_hypotheses)
    Path(photo("fine")).unlink()
    shutil.rmtree(result_folder)
    texts = drawn(panels_hypotheses.PAMIR_PT_hypotheses)
    assert "Choose the Photo Again..." in texts and "Recompute Files" in texts
    bpy.data.objects.remove(ownership.find_object("abc", "clothed"))
    assert "The clothed mesh was deleted." in " ".join(drawn(panels_hypotheses.PAMIR_PT_hypotheses))


def test_the_hypotheses_panel_survives_edited_properties(addon, result_folder):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    entry = ownership.find_collection("abc").pamir.hypotheses[0]
    for name in ("options", "info", "optimisation"):
        setattr(entry, name, "{")
        assert "cannot be read" in " ".join(drawn(panels_hypotheses.PAMIR_PT_hypotheses))
        drawn(panels_hypotheses.PAMIR_PT_pose_tools)


def test_the_panel_names_limbs_that_were_posed_against_the_photo(
    addon, result_folder, tmp_path, photo, arrays
):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    import_result.select_character("abc", bpy.context)
    assert "background" not in " ".join(drawn(panels_hypotheses.PAMIR_PT_hypotheses))
    told = {"kind": "regenerated", "edited": ["left_elbow"], "held": ["left_arm", "right_leg", "tail"]}
    folder = person.write_folder(tmp_path / "held", arrays, photo("fine"), **told)
    hypotheses.add(ownership.find_collection("abc"), read_result(folder), "uid2")
    said = " ".join(drawn(panels_hypotheses.PAMIR_PT_hypotheses))
    assert "Posed where the photo shows background: left arm, right leg." in said
    # Files from before there was such a thing, and edited ones.
    entry = ownership.find_collection("abc").pamir.hypotheses[1]
    for held in (None, ["nose"]):
        info = {key: value for key, value in json.loads(entry.info).items() if key != "held"}
        entry.info = json.dumps(info if held is None else {**info, "held": held})
        assert "background" not in " ".join(drawn(panels_hypotheses.PAMIR_PT_hypotheses))


def test_parts_are_shown_and_hidden(addon, result_folder):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    body = ownership.find_object("abc", "body")
    assert body.hide_get() and body.hide_render
    bpy.ops.pamir.toggle_part(part="body")
    assert not body.hide_get() and not body.hide_render
    bpy.data.objects.remove(body)
    with pytest.raises(RuntimeError, match="deleted"):
        bpy.ops.pamir.toggle_part(part="body")
    assert "Body" in drawn(panels.PAMIR_PT_character)
