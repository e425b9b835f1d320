"""The list of hypotheses: every mesh in its own pose, whoever the armature follows."""

import json
from itertools import pairwise

import bpy
import numpy as np
import pytest
import synthetic_person as person

from pamir_blender.addon.scene import hypotheses, hypothesis_mesh, import_result, ownership, record
from pamir_blender.addon.scene.body_object import read_betas
from pamir_blender.addon.scene.pose import read_pose
from pamir_blender.addon.scene.read_result import read_result
from pamir_blender.addon.scene.skinning import joint_transforms, skin, unskin
from pamir_blender.body_state import BodyState
from pamir_blender.errors import RequestError, ResultError


def posed_of(arrays, part="clothed"):
    """Where the part's points should be, in Blender's axes, by skinning that is not the package's."""
    rest = arrays[f"{part}_vertices_rest"] if part == "clothed" else None
    if part == "body":
        rest = arrays["body_template"] + arrays["body_shapedirs"] @ arrays["betas"]
        rest = rest + arrays["body_pose_corrective"]
    points = person.skin(
        rest, arrays[f"{part}_weights_indices"], arrays[f"{part}_weights"],
        arrays["joints_rest"], arrays["pose"], arrays["body_offset"],
    )  # fmt: skip
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=-1)


def shown(obj):
    """World-space points after all modifiers and shape keys."""
    bpy.context.view_layer.update()
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    world = np.array(obj.matrix_world)
    return points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def other_arrays(turn=0.6, betas=0.0, joint=18):
    """The person with one joint turned and other betas."""
    arrays = person.scene_arrays()
    pose = arrays["pose"].astype(float)
    pose[joint] += turn
    state = BodyState.from_arrays(
        pose, arrays["betas"] + betas, scale=person.FRAME_SCALE,
        translation=arrays["body_placement"][1:], frame_scale=person.FRAME_SCALE,
        frame_origin=person.FRAME_ORIGIN,
    )  # fmt: skip
    return person.regenerated_arrays(state)


@pytest.fixture
def several(addon, tmp_path, photo, arrays, result_folder):
    """A character with three hypotheses: as estimated, the left elbow turned, other betas as well."""
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    import_result.select_character("abc", bpy.context)
    made = [arrays, other_arrays(0.6), other_arrays(-0.5, betas=0.7, joint=17)]
    collection = ownership.find_collection("abc")
    for i, each in enumerate(made[1:], 2):
        told = {"kind": "regenerated", "edited": ["left_elbow"]}
        folder = person.write_folder(tmp_path / f"h{i}", each, photo("fine"), **told)
        hypotheses.add(collection, read_result(folder), f"uid{i}")
    return made


def entries():
    return ownership.find_collection("abc").pamir.hypotheses


def meshes():
    collection = ownership.find_collection("abc")
    return [hypothesis_mesh.mesh_of(collection, entry.uid) for entry in entries()]


def follows(arrays):
    """Asserts that armature, body and worn mesh are those of ``arrays``."""
    armature, body = ownership.find_object("abc", "armature"), ownership.find_object("abc", "body")
    assert read_pose(armature).pose == pytest.approx(arrays["pose"], abs=1e-4)
    assert read_betas(body) == pytest.approx(arrays["betas"], abs=1e-6)
    hidden = body.hide_get()
    body.hide_set(False)
    assert np.abs(shown(body) - posed_of(arrays, "body")).max() < 1e-4
    body.hide_set(hidden)
    assert np.abs(shown(ownership.find_object("abc", "clothed")) - posed_of(arrays)).max() < 1e-4


def test_the_first_result_is_the_first_hypothesis(addon, result_folder):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    (entry,) = entries()
    assert (entry.name, entry.kind, entry.folder) == ("Estimate", "estimate", str(result_folder))
    assert ownership.find_collection("abc").pamir.current == entry.uid
    assert meshes() == [ownership.find_object("abc", "clothed")]
    state = record.state_of(entry)
    stored = person.scene_arrays()
    assert np.array_equal(np.float32(state.pose), stored["pose"])
    assert state.translation == tuple(stored["body_placement"][1:])
    assert record.options_of(entry)["resolution"] == 256


@pytest.mark.parametrize("index", [0, 1, 2])
def test_armature_body_and_mesh_follow_the_active_one(several, index):
    ownership.find_collection("abc").pamir.active_index = index
    follows(several[index])
    assert [o["pamir_role"] for o in meshes()].count("clothed") == 1
    assert [not o.hide_viewport for o in meshes()] == [i == index for i in range(3)]


def test_the_others_keep_their_own_pose_when_shown(several):
    collection = ownership.find_collection("abc")
    for active in (0, 2, 1):
        collection.pamir.active_index = active
        # The artist turns a bone: it moves the worn mesh and none of the others.
        ownership.find_object("abc", "armature").pose.bones["right_hip"].rotation_quaternion = (1, 0, 0, 0)
        for i, obj in enumerate(meshes()):
            entries()[i].shown = True
            error = np.abs(shown(obj) - posed_of(several[i])).max()
            assert (error < 1e-4) == (i != active), (i, active, error)


def test_many_switches_lose_nothing(several):
    collection = ownership.find_collection("abc")
    for index in (0, 1, 2, 0, 2, 1, 2, 0, 1, 0):
        collection.pamir.active_index = index
    follows(several[0])
    assert meshes()[0].data.shape_keys is None


def test_switching_in_pose_mode_stays_in_pose_mode(several):
    bpy.ops.object.mode_set(mode="POSE")
    for index in (0, 2):  # other betas: the rest pose is rebuilt
        ownership.find_collection("abc").pamir.active_index = index
        assert bpy.context.mode == "POSE"
        follows(several[index])
    bpy.ops.object.mode_set(mode="OBJECT")


def test_bones_the_artist_added_survive_a_change_of_betas(several):
    armature = ownership.find_object("abc", "armature")
    bpy.ops.object.mode_set(mode="EDIT")
    bone = armature.data.edit_bones.new("prop")
    bone.tail = (0, 0, 1)
    bone.parent = armature.data.edit_bones["left_hand"]
    bpy.ops.object.mode_set(mode="OBJECT")
    ownership.find_collection("abc").pamir.active_index = 0
    assert armature.data.bones["prop"].parent.name == "left_hand"
    follows(several[0])


def test_in_edit_mode_the_list_stays_and_says_why(several):
    bpy.ops.object.mode_set(mode="EDIT")
    character = ownership.find_collection("abc").pamir
    character.active_index = 0
    assert character.active_index == 2 and character.current == "uid3"
    assert "Edit Mode" in bpy.context.window_manager.pamir.error
    bpy.ops.object.mode_set(mode="OBJECT")
    follows(several[2])


def test_compare_puts_them_side_by_side_and_back(several):
    assert bpy.ops.pamir.compare_hypotheses() == {"FINISHED"}
    spans = []
    for obj, arrays in zip(meshes(), several, strict=True):
        points, expected = shown(obj), posed_of(arrays)
        moved = points - expected
        assert np.ptp(moved, axis=0).max() < 1e-4  # shifted as a whole, its pose its own
        spans.append((points[:, 0].min(), points[:, 0].max()))
    spans.sort()
    assert all(left[1] < right[0] for left, right in pairwise(spans))
    follows(several[2])
    bpy.ops.pamir.compare_hypotheses()
    assert [not o.hide_viewport for o in meshes()] == [False, False, True]
    entries()[0].shown = True
    assert np.abs(shown(meshes()[0]) - posed_of(several[0])).max() < 1e-4


def test_solo_hides_the_rest(several):
    entries()[0].shown = entries()[1].shown = True
    bpy.ops.pamir.solo_hypothesis()
    assert [not o.hide_viewport for o in meshes()] == [False, False, True]
    assert [not o.hide_render for o in meshes()] == [False, False, True]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_deleting_any_of_them_is_safe(several, index):
    collection = ownership.find_collection("abc")
    collection.pamir.active_index = index
    assert bpy.ops.pamir.delete_hypothesis() == {"FINISHED"}
    left = [a for i, a in enumerate(several) if i != index]
    now = collection.pamir.active_index
    assert entries()[now].uid == collection.pamir.current
    follows(left[now])
    assert len(meshes()) == 2 and None not in meshes()
    uid = ["", "uid2", "uid3"][index]
    assert not uid or not any(b.get("pamir_hypothesis") == uid for b in ownership.owned("abc"))
    bpy.ops.pamir.delete_hypothesis()
    with pytest.raises(RuntimeError, match="only hypothesis"):
        bpy.ops.pamir.delete_hypothesis()


def test_deleting_one_that_is_not_followed(several):
    collection = ownership.find_collection("abc")
    hypotheses.delete(collection, 0)
    assert collection.pamir.active_index == 1 and collection.pamir.current == "uid3"
    follows(several[2])


def test_duplicates_share_nothing_that_deleting_would_take(several):
    bpy.ops.pamir.duplicate_hypothesis()
    assert [e.name for e in entries()] == ["Estimate", "Pose", "Pose 2", "Pose 3"]
    follows(several[2])
    hypotheses.delete(ownership.find_collection("abc"), 2)
    follows(several[2])
    (material,) = ownership.find_object("abc", "clothed").data.materials
    assert any(n.type == "TEX_IMAGE" and n.image is not None for n in material.node_tree.nodes)


def test_undo_and_redo_of_a_switch(several):
    collection = ownership.find_collection("abc")
    bpy.ops.ed.undo_push(message="before")
    collection.pamir.active_index = 0
    bpy.ops.ed.undo_push(message="switched")
    bpy.ops.ed.undo()
    assert ownership.find_collection("abc").pamir.current == "uid3"
    follows(several[2])
    bpy.ops.ed.redo()
    follows(several[0])


def test_undo_of_a_deletion(several):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.pamir.delete_hypothesis("EXEC_DEFAULT", True)
    assert len(entries()) == 2
    bpy.ops.ed.undo()
    assert len(entries()) == 3
    follows(several[2])


def test_save_and_reload_keep_everything(several, tmp_path):
    ownership.find_collection("abc").pamir.active_index = 1
    entries()[0].name = "as first seen"
    path = str(tmp_path / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert [e.name for e in entries()] == ["as first seen", "Pose", "Pose 2"]
    follows(several[1])
    ownership.find_collection("abc").pamir.active_index = 2
    follows(several[2])
    assert record.edited_of(entries()[1]) == ("left_elbow",)
    assert all(e.picture.packed_file is not None and e.picture.size[0] == 64 for e in entries())


def test_pictures_become_icons_outside_of_drawing(several):
    from pamir_blender.addon import previews

    image = entries()[0].picture
    assert previews.packed_icon(None) == 0 and previews.packed_icon(image) == 0
    previews.load_wanted()
    # Without a window Blender gives icons no numbers; their pixels it keeps.
    icon = previews._collection[previews._key(image)]
    assert tuple(icon.image_size) == (64, 64)
    assert np.array(icon.image_pixels_float[:]) == pytest.approx(np.array(image.pixels[:]), abs=0.01)


def test_an_artist_deleting_the_collection_leaves_no_pictures_behind(several):
    bpy.data.collections.remove(ownership.find_collection("abc"))
    bpy.data.orphans_purge(do_recursive=True)
    assert not [i for i in bpy.data.images if i.name.startswith("PaMIR thumbnail")]


def test_a_damaged_result_leaves_the_list_as_it_was(several, tmp_path, photo, snapshot):
    before, uids = snapshot(), [e.uid for e in entries()]
    folder = person.write_folder(tmp_path / "bad", other_arrays(0.2), photo("fine"))
    (folder / "texture.png").write_bytes(b"no picture")
    with pytest.raises(ResultError, match="texture"):
        hypotheses.add(ownership.find_collection("abc"), read_result(folder), "new")
    assert snapshot() == before and [e.uid for e in entries()] == uids
    follows(several[2])


def test_a_mesh_the_artist_deleted_does_not_stop_the_list(several):
    bpy.data.objects.remove(meshes()[1])
    collection = ownership.find_collection("abc")
    collection.pamir.active_index = 1
    assert read_pose(ownership.find_object("abc", "armature")).pose == pytest.approx(
        several[1]["pose"], abs=1e-4
    )
    bpy.ops.pamir.compare_hypotheses()
    bpy.ops.pamir.delete_hypothesis()
    follows(several[2])


@pytest.mark.parametrize("rubbish", ["{", "[]", json.dumps({"pose": [[1e9] * 3] * 24})])
def test_unreadable_records_are_named(several, rubbish):
    entries()[0].rest = rubbish
    with pytest.raises(RequestError, match="Estimate"):
        hypotheses.activate(ownership.find_collection("abc"), 0)
    follows(several[2])


def test_removing_the_character_leaves_nothing(several):
    ownership.remove_character("abc")
    assert not ownership.owned("abc")


def test_skinning_backwards_is_its_inverse():
    arrays = person.scene_arrays()
    from pamir_blender.addon.scene.read_result import SkinWeights

    weights = SkinWeights(arrays["clothed_weights_indices"], arrays["clothed_weights"].astype(float))
    transforms = joint_transforms(arrays["pose"].astype(float), arrays["joints_rest"].astype(float))
    rest = arrays["clothed_vertices_rest"].astype(float)
    assert unskin(skin(rest, weights, transforms), weights, transforms) == pytest.approx(rest, abs=1e-9)
