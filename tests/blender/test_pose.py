"""SMPL's pose to bones and back."""

import bpy
import numpy as np
import pytest

from pamir_blender.addon.scene import import_result, ownership
from pamir_blender.addon.scene.pose import apply_pose, read_pose
from pamir_blender.addon.scene.read_result import read_result
from pamir_blender.addon.scene.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pamir_blender.errors import RequestError


def angle_between(a, b):
    """Radians between rotations given as axis-angle (N, 3)."""
    difference = np.swapaxes(axis_angle_to_matrix(a), 1, 2) @ axis_angle_to_matrix(b)
    return np.linalg.norm(matrix_to_axis_angle(difference), axis=1)


@pytest.fixture
def armature(addon, result_folder):
    import_result.import_character(read_result(result_folder), bpy.context.scene, "abc")
    return ownership.find_object("abc", "armature")


def test_imported_pose_reads_back(armature, arrays):
    found = read_pose(armature)
    assert found.pose == pytest.approx(arrays["pose"], abs=1e-4)
    assert found.offset == pytest.approx(arrays["body_offset"], abs=1e-6)


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.5, 3.0, 3.14159])
@pytest.mark.parametrize("evaluate", [False, True])
def test_round_trip_within_a_ten_thousandth_of_a_radian(armature, size, evaluate):
    rng = np.random.default_rng(3)
    pose = rng.normal(size=(24, 3))
    pose *= size / np.linalg.norm(pose, axis=1, keepdims=True)
    offset = rng.normal(size=3)
    apply_pose(armature, pose, offset)
    bpy.context.view_layer.update()
    found = read_pose(armature, bpy.context.evaluated_depsgraph_get() if evaluate else None)
    assert angle_between(found.pose, pose).max() < 1e-4
    assert found.offset == pytest.approx(offset, abs=1e-5)


def test_a_bone_turned_by_the_artist_in_euler_angles_reads_as_smpls_rotation(armature, arrays):
    bone = armature.pose.bones["left_elbow"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler = (0.7, 0, 0)
    found = read_pose(armature).pose
    elbow = 18
    # The bone's x axis is the elbow's hinge: a positive turn brings the forearm forward, about SMPL's -y.
    assert found[elbow] == pytest.approx([0, -0.7, 0], abs=0.06)
    others = [i for i in range(24) if i != elbow]
    assert found[others] == pytest.approx(arrays["pose"][others], abs=1e-4)


def test_constraints_count_in_the_evaluated_pose_only(armature, arrays):
    constraint = armature.pose.bones["head"].constraints.new("LIMIT_ROTATION")
    constraint.use_limit_x = constraint.use_limit_y = constraint.use_limit_z = True
    constraint.owner_space = "LOCAL"
    bpy.context.view_layer.update()
    assert np.linalg.norm(read_pose(armature).pose[15]) > 0.1
    evaluated = read_pose(armature, bpy.context.evaluated_depsgraph_get()).pose
    assert np.linalg.norm(evaluated[15]) < 1e-4


def test_renamed_bones_and_foreign_armatures_are_refused_by_name(armature):
    armature.data.bones["neck"].name = "throat"
    with pytest.raises(RequestError, match="neck"):
        read_pose(armature)
    stranger = bpy.data.objects.new("rig", bpy.data.armatures.new("rig"))
    with pytest.raises(RequestError, match="rig"):
        read_pose(stranger)


def test_rotation_conversions_agree_with_mathutils():
    from mathutils import Quaternion, Vector

    rng = np.random.default_rng(0)
    for vector in rng.normal(size=(200, 3)) * rng.uniform(0, 3, (200, 1)):
        angle = np.linalg.norm(vector)
        expected = np.array(Quaternion(Vector(vector), angle).to_matrix())
        found = axis_angle_to_matrix(vector[None])[0]
        assert found == pytest.approx(expected, abs=1e-5)
        back = matrix_to_axis_angle(found[None])[0]
        assert angle_between(back[None], vector[None])[0] < 1e-7
