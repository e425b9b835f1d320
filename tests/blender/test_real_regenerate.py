"""Turning a forearm with the real networks: the surface follows it, the rest of the person stays.

Needs the backend's Python beside this one (``make test`` makes both) or in PAMIR_BACKEND_PYTHON.
"""

import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils.kdtree import KDTree
from real_backend import ROOT, use_real_backend

from pamir_blender.addon.live import live
from pamir_blender.addon.scene import hypothesis_mesh, ownership, preview_object, record

FOREARM = ("left_elbow", "left_wrist", "left_hand")


@pytest.fixture
def character(addon):
    use_real_backend()
    options = bpy.context.scene.pamir
    options.photo_path, options.resolution = str(ROOT / "examples" / "person.png"), "128"
    options.use_texture, options.use_optimise = False, False
    assert bpy.ops.pamir.reconstruct() == {"FINISHED"}
    yield lambda: next(c for c in bpy.data.collections if c.get("pamir_character"))
    live.stop()


def surface(obj):
    """Posed points, and which of them the forearm moves most."""
    bpy.context.view_layer.update()
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    names = [g.name for g in obj.vertex_groups]
    strongest = [max(v.groups, key=lambda g: g.weight).group for v in obj.data.vertices]
    return points.reshape(-1, 3), np.array([names[group] in FOREARM for group in strongest])


def distances(points, to):
    """From each point to the nearest of the others, metres."""
    tree = KDTree(len(to))
    for i, point in enumerate(to):
        tree.insert(point, i)
    tree.balance()
    return np.array([tree.find(point)[2] for point in points])


def bone_segment(armature, name, tail):
    return np.array(armature.pose.bones[name].head), np.array(armature.pose.bones[tail].head)


def to_segment(points, start, end):
    """Distance of each point to a segment, metres."""
    along = np.clip((points - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
    return np.linalg.norm(points - start - along[:, None] * (end - start), axis=1)


def test_turn_the_forearm_and_regenerate(character):
    collection = character()
    owner = collection["pamir_character"]
    armature = ownership.find_object(owner, "armature")
    before, forearm_before = surface(ownership.find_object(owner, "clothed"))
    start, end = bone_segment(armature, "left_elbow", "left_wrist")
    old_thickness = np.median(to_segment(before[forearm_before], start, end))

    # Untouched: the very same mesh.
    assert bpy.ops.pamir.regenerate() == {"FINISHED"}
    again = [hypothesis_mesh.mesh_of(collection, e.uid).data for e in collection.pamir.hypotheses]
    arrays = []
    for mesh in again:
        found = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", found)
        arrays.append(found)
    assert np.array_equal(*arrays)

    bone = armature.pose.bones["left_elbow"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler.x += 0.9
    bpy.context.view_layer.update()
    new_start, new_end = bone_segment(armature, "left_elbow", "left_wrist")
    assert np.linalg.norm(new_end - end) > 0.1
    assert bpy.ops.pamir.regenerate() == {"FINISHED"}
    assert collection.pamir.hypotheses[2].edited == "left_elbow"
    after, forearm_after = surface(ownership.find_object(owner, "clothed"))

    # The surface is around the forearm where the forearm is now, as thick as it was, and where it was not.
    thickness = np.median(to_segment(after[forearm_after], new_start, new_end))
    assert thickness < 1.5 * old_thickness
    assert np.median(distances(after[forearm_after], before)) > 0.03
    # All else stays.
    assert np.median(distances(after[~forearm_after], before[~forearm_before])) < 0.01
    moved = distances(before[~forearm_before], after[~forearm_after])
    assert np.median(moved) < 0.01


def test_live_preview(character):
    collection = character()
    owner = collection["pamir_character"]
    assert bpy.ops.pamir.live_preview() == {"FINISHED"}
    bone = ownership.find_object(owner, "armature").pose.bones["left_elbow"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler.x += 0.9
    bpy.context.view_layer.update()
    deadline = time.monotonic() + 120
    while not preview_object.made_for(owner):
        assert not live.error and time.monotonic() < deadline, live.error
        live.tick()
        time.sleep(0.02)
    preview, _ = surface(preview_object.find(owner))
    assert bpy.ops.pamir.regenerate() == {"FINISHED"}
    full, _ = surface(ownership.find_object(owner, "clothed"))
    # The same person, only coarser.
    assert np.median(distances(preview, full)) < 0.01
    assert preview_object.find(owner) is None and Path(collection.pamir.hypotheses[1].folder).is_dir()


def test_optimise_the_rest_and_suggest(character):
    collection = character()
    owner = collection["pamir_character"]
    bone = ownership.find_object(owner, "armature").pose.bones["left_elbow"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler.x += 0.3
    bpy.context.view_layer.update()
    held = np.array(bone.matrix_basis.to_quaternion())
    assert bpy.ops.pamir.optimise_rest() == {"FINISHED"}
    _, second = collection.pamir.hypotheses
    report = record.optimisation_of(second)
    assert 1 <= report["iterations"] <= 50 and report["after"]["energy"] <= report["before"]["energy"]
    assert report["after"]["silhouette_iou"] >= report["before"]["silhouette_iou"]
    assert second.edited == "left_elbow" and collection.pamir.current == second.uid
    np.testing.assert_allclose(np.array(bone.matrix_basis.to_quaternion()), held, atol=1e-4)

    current = second.uid  # Blender moves the entries of a list that grows
    assert bpy.ops.pamir.suggest() == {"FINISHED"}
    made = list(collection.pamir.hypotheses)[2:]
    assert 1 <= len(made) <= 3 and collection.pamir.current == current
    for entry in made:
        assert "left_arm" not in entry.name.lower().replace(" ", "_")  # posed by hand, so left alone
        flipped, _ = surface(hypothesis_mesh.mesh_of(collection, entry.uid))
        assert 1.3 < np.ptp(flipped[:, 2]) < 2.3 and Path(entry.folder).is_dir()
