"""The imported objects against the result's own numbers."""

import bpy
import numpy as np
import pytest
import synthetic_person as person

from pamir_blender.addon.scene import import_result, ownership
from pamir_blender.addon.scene.body_object import read_betas
from pamir_blender.addon.scene.collection import doubtful_limbs, recall
from pamir_blender.addon.scene.read_result import read_early_body, read_result


def blender_to_character(points):
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=-1)


def evaluated(obj):
    """World-space vertices after all modifiers, in the character frame."""
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    mesh = obj.evaluated_get(depsgraph).data
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    world = np.array(obj.matrix_world)
    return blender_to_character(points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])


def posed(arrays, part):
    if part == "clothed":
        rest = arrays["clothed_vertices_rest"]
    else:
        rest = (
            arrays["body_template"]
            + arrays["body_shapedirs"] @ arrays["betas"]
            + arrays["body_pose_corrective"]
        )
    return person.skin(
        rest, arrays[f"{part}_weights_indices"], arrays[f"{part}_weights"],
        arrays["joints_rest"], arrays["pose"], arrays["body_offset"],
    )  # fmt: skip


@pytest.fixture
def character(addon, result_folder):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    return {role: ownership.find_object("abc", role) for role in ("armature", "body", "clothed", "camera")}


@pytest.mark.parametrize("part", ["body", "clothed"])
def test_posed_meshes_are_linear_blend_skinning_to_a_tenth_of_a_millimetre(character, arrays, part):
    character[part].hide_set(False)
    error = np.linalg.norm(evaluated(character[part]) - posed(arrays, part), axis=1)
    assert error.max() < 1e-4
    assert not character[part].modifiers["Armature"].use_deform_preserve_volume


def test_the_test_above_can_fail(character, arrays):
    arrays["pose"][18] += 0.01
    error = np.linalg.norm(evaluated(character["clothed"]) - posed(arrays, "clothed"), axis=1)
    assert error.max() > 1e-3


def test_rest_pose_stands_on_the_floor_above_the_origin(character):
    character["body"].hide_set(False)
    armature = character["armature"]
    armature.data.pose_position = "REST"
    character["body"].data.shape_keys.key_blocks["pose_corrective"].value = 0
    assert evaluated(character["body"])[:, 1].min() == pytest.approx(0, abs=1e-4)
    pelvis = armature.data.bones["pelvis"].head_local
    assert (pelvis.x, pelvis.y) == pytest.approx((0, 0), abs=1e-6)


def test_armature_has_smpls_joints_and_parents(character, arrays):
    bones = character["armature"].data.bones
    assert [b.name for b in bones] != [] and {b.name for b in bones} == set(person.ORDER)
    for i, name in enumerate(person.ORDER):
        parent = bones[name].parent
        assert (parent.name if parent else None) == (person.ORDER[person.PARENTS[i]] if i else None)
        assert bones[name].length >= 0.019
    heads = np.array([bones[name].head_local for name in person.ORDER])
    rest = arrays["joints_rest"]
    assert blender_to_character(heads - heads[0]) == pytest.approx(rest - rest[0], abs=1e-5)


def test_shape_keys_are_the_betas(character, arrays):
    body = character["body"]
    assert read_betas(body) == pytest.approx(arrays["betas"], abs=1e-5)
    keys = body.data.shape_keys.key_blocks
    assert [k.name for k in keys] == ["Basis", *(f"beta_{i}" for i in range(10)), "pose_corrective"]
    assert (keys["beta_0"].slider_min, keys["beta_0"].slider_max) == (-5, 5)
    body.hide_set(False)
    keys["beta_3"].value += 1
    arrays["betas"][3] += 1
    assert np.linalg.norm(evaluated(body) - posed(arrays, "body"), axis=1).max() < 1e-4


def test_one_collection_holds_the_four_parts_and_remembers_the_result(character, result_folder):
    (collection,) = (c for c in bpy.data.collections if c.name.startswith("PaMIR"))
    assert collection.name == "PaMIR fine"
    assert set(collection.objects) == set(character.values())
    assert {o["pamir_role"] for o in collection.objects} == {"armature", "body", "clothed", "camera"}
    info = recall(collection)
    assert info.folder == result_folder
    assert info.weights == {"geometry": "a" * 64, "texture": "b" * 64}
    assert info.version == "0.1.0" and info.silhouette_iou == pytest.approx(0.93)
    assert doubtful_limbs(info.confidence) == ["Left arm"]
    assert info.warnings == ("The left arm is hidden; its pose was guessed.",)


def test_clothed_mesh_has_uv_and_packed_texture(character, arrays):
    mesh = character["clothed"].data
    uv = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers[0].uv.foreach_get("vector", uv)
    assert uv.reshape(-1, 3, 2) == pytest.approx(arrays["clothed_corner_uv"])
    assert all(p.use_smooth for p in mesh.polygons)
    tree = mesh.materials[0].node_tree
    shader = next(n for n in tree.nodes if n.type == "BSDF_PRINCIPLED")
    image = shader.inputs["Base Color"].links[0].from_node.image
    assert tuple(image.size) == (64, 64) and image.packed_file is not None
    assert len(mesh.materials) == 1


def test_a_result_without_texture_gives_a_plain_material(addon, tmp_path, photo, arrays):
    del arrays["clothed_corner_uv"]
    folder = person.write_folder(tmp_path / "bare", arrays, photo("fine"))
    import_result.import_character(read_result(folder), bpy.context.scene, "abc")
    mesh = ownership.find_object("abc", "clothed").data
    assert len(mesh.uv_layers) == 0
    assert not any(n.type == "TEX_IMAGE" for n in mesh.materials[0].node_tree.nodes)


@pytest.mark.parametrize("frame", [(1920, 1080), (1080, 1920), (300, 400), (1000, 1000)])
def test_camera_sees_the_character_where_the_photo_does(addon, result_folder, arrays, frame):
    """A world point projects to the same pixel of the photo, whatever the shape of the render."""
    from bpy_extras.object_utils import world_to_camera_view

    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = frame
    import_result.import_character(read_result(result_folder), scene, "abc")
    assert (scene.render.resolution_x, scene.render.resolution_y) == frame
    camera = ownership.find_object("abc", "camera")
    bpy.context.view_layer.update()
    view = np.array(
        world_to_camera_view(scene, camera, camera.location + camera.location.__class__((0.3, 5, 0.4)))
    )
    width, height = person.PHOTO_SIZE
    # The photo, fitted into the frame.
    fitted = min(frame[0] / width, frame[1] / height)
    pixel = (view[:2] - 0.5) * frame / fitted
    pixels_per_metre = max(width, height) / float(arrays["camera_ortho_scale"])
    assert pixel == pytest.approx([0.3 * pixels_per_metre, 0.4 * pixels_per_metre], abs=1e-2)


def test_camera_shows_the_photo_and_waits_to_be_asked(character):
    scene, data = bpy.context.scene, character["camera"].data
    background = data.background_images[0]
    assert data.show_background_images and background.frame_method == "FIT"
    assert background.image.filepath.endswith("fine.png")
    assert scene.camera is not character["camera"]  # the artist's own camera stays
    bpy.context.view_layer.objects.active = character["armature"]
    bpy.ops.pamir.view_photo()
    assert scene.camera is character["camera"]
    assert (scene.render.resolution_x, scene.render.resolution_y) == person.PHOTO_SIZE


def test_a_scene_without_camera_gets_the_photos(addon, result_folder):
    bpy.data.objects.remove(bpy.data.objects["Camera"])
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    assert bpy.context.scene.camera is ownership.find_object("abc", "camera")


def test_the_body_stays_when_it_comes_early_and_is_replaced_when_it_changed(
    addon, tmp_path, result_folder, arrays
):
    early = person.write_folder(tmp_path / "early", arrays, "fine.png", early=True)
    import_result.import_early_body(read_early_body(early), bpy.context.scene, "abc")
    first = ownership.find_object("abc", "body").session_uid
    assert ownership.find_object("abc", "clothed") is None
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    assert ownership.find_object("abc", "body").session_uid == first

    import_result.import_early_body(read_early_body(early), bpy.context.scene, "def")
    arrays["pose"][16] += 0.3
    moved = person.write_folder(tmp_path / "moved", arrays, "fine.png")
    import_result.import_character(read_result(moved), bpy.context.scene, "def")
    error = np.linalg.norm(
        evaluated(ownership.find_object("def", "clothed")) - posed(arrays, "clothed"), axis=1
    )
    assert error.max() < 1e-4
    assert sum(o.get("pamir_character") == "def" for o in bpy.data.objects) == 4


def test_an_artist_in_edit_mode_is_not_disturbed(addon, result_folder):
    cube = bpy.data.objects["Cube"]
    bpy.context.view_layer.objects.active = cube
    bpy.ops.object.mode_set(mode="EDIT")
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    import_result.select_character("abc", bpy.context)
    assert cube.mode == "EDIT" and bpy.context.mode == "EDIT_MESH"
    assert bpy.context.view_layer.objects.active is cube
    assert len(bpy.data.scenes) == 1
    bpy.ops.object.mode_set(mode="OBJECT")


def test_removing_a_character_leaves_nothing(addon, snapshot, result_folder):
    before = snapshot()
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    assert snapshot() != before
    ownership.remove_character("abc")
    assert snapshot() == before


def test_a_photo_the_artist_has_open_already_is_shared_and_kept(addon, result_folder, photo):
    image = bpy.data.images.load(photo("fine"))
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    assert ownership.find_object("abc", "camera").data.background_images[0].image is image
    ownership.remove_character("abc")
    assert image.name in bpy.data.images
