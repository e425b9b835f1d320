"""BVH poses: the file's bones end up where the file points them, on a person of other proportions."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pamir_blender.errors import AssetsError
from pamir_blender.training.avatars import joint_transforms
from pamir_blender.training.bvh_poses import read_pose, read_poses, sample_library
from pamir_blender.training.poses import self_penetrates

SIX = "CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation"


def skeleton(turns):
    """A small z-up file with the bones that are read; ``turns`` name to (x, y, z) degrees."""
    motion = []

    def joint(name, offset, *below):
        motion.extend([0.0, 0.0, 0.0, *turns.get(name, (0.0, 0.0, 0.0))])
        inner = " ".join(child() for child in below)
        place = " ".join(str(value) for value in offset)
        return f"JOINT {name} {{ OFFSET {place} {SIX} {inner or 'End Site { OFFSET 0 0 0.1 }'} }}"

    def bone(name, offset, *below):
        return lambda: joint(name, offset, *below)

    def arm(m, s):
        hand = bone("wrist" + m, (0.8 * s, 0, -0.8), bone("finger3-1" + m, (0.7 * s, 0, -0.7)))
        lower = bone("lowerarm01" + m, (1.0 * s, 0, -1.0), bone("lowerarm02" + m, (0.8 * s, 0, -0.8), hand))
        upper = bone("upperarm01" + m, (0.5 * s, 0, 0), bone("upperarm02" + m, (0.5 * s, 0, -0.5), lower))
        return bone("shoulder01" + m, (1.0 * s, 0, 0.5), upper)

    def leg(m, s):
        foot = bone("foot" + m, (0, 0, -2), bone("toe3-1" + m, (0, -1.5, -0.3)))
        lower = bone("lowerleg01" + m, (0, 0, -2), bone("lowerleg02" + m, (0, 0, -2), foot))
        return bone("upperleg01" + m, (1.0 * s, 0, 0), bone("upperleg02" + m, (0, 0, -2), lower))

    head = bone("neck02", (0, 0, 1), bone("head", (0, 0, 1)))
    chest = bone("spine01", (0, 0, 1), arm(".L", 1), arm(".R", -1), head)
    spine = bone("spine04", (0, 0, 1), bone("spine03", (0, 0, 1), chest))
    text = joint("root", (0, 0, 9), spine, leg(".L", 1), leg(".R", -1)).replace("JOINT", "ROOT", 1)
    return f"HIERARCHY {text} MOTION Frames: 1 Frame Time: 0.04 " + " ".join(map(str, motion))


def posed(joints, rotations):
    transforms = joint_transforms(joints, rotations)
    return np.einsum("jik,jk->ji", transforms[:, :3, :3], joints) + transforms[:, :3, 3]


def direction(joints, start, end):
    return (joints[end] - joints[start]) / np.linalg.norm(joints[end] - joints[start])


def test_limbs_point_where_the_file_points_them(tmp_path, subject):
    (tmp_path / "kick.bvh").write_text(skeleton({"upperleg01.L": (-90, 0, 0)}))
    pose = read_pose(tmp_path / "kick.bvh")
    joints = posed(subject.joints, pose.rotations(subject.joints))
    # In the file -y is forward and z is up: -90 degrees about x raise the leg forward.
    np.testing.assert_allclose(direction(joints, 1, 4), [0, 0, 1], atol=1e-5)
    np.testing.assert_allclose(direction(joints, 2, 5), [0, -1, 0], atol=1e-5)
    # At rest the file's arms hang at 45 degrees.
    np.testing.assert_allclose(direction(joints, 16, 18), [0.5**0.5, -(0.5**0.5), 0], atol=1e-5)
    mirrored = posed(subject.joints, pose.rotations(subject.joints, mirrored=True))
    np.testing.assert_allclose(direction(mirrored, 2, 5), [0, 0, 1], atol=1e-5)
    np.testing.assert_allclose(direction(mirrored, 1, 4), [0, -1, 0], atol=1e-5)


def test_a_turned_root_turns_everything(tmp_path, subject):
    (tmp_path / "a.bvh").write_text(skeleton({}))
    (tmp_path / "b.bvh").write_text(skeleton({"root": (0, 0, 90)}))
    still, turned = (pose.rotations(subject.joints) for pose in read_poses(tmp_path))
    np.testing.assert_allclose(turned[1:], still[1:], atol=1e-9)
    quarter = Rotation.from_euler("y", 90, degrees=True).as_matrix()  # about the file's z: our y
    np.testing.assert_allclose(turned[0], quarter, atol=1e-9)


def test_sampled_poses_leave_the_body_free(tmp_path, subject):
    (tmp_path / "a.bvh").write_text(skeleton({}))
    library = read_poses(tmp_path)
    first = sample_library(np.random.default_rng(1), subject.joints, library)
    again = sample_library(np.random.default_rng(1), subject.joints, library)
    assert first.mode == "a"
    np.testing.assert_array_equal(first.rotations, again.rotations)
    assert not self_penetrates(subject.joints, first.rotations)
    np.testing.assert_allclose(np.linalg.det(first.rotations), 1, atol=1e-9)


@pytest.mark.parametrize(
    "text", ["", "HIERARCHY MOTION Frames: 1 Frame Time: 0.04", skeleton({})[:-30], "a { } b MOTION"]
)
def test_other_files_are_refused_by_name(tmp_path, text):
    (tmp_path / "odd.bvh").write_text(text)
    with pytest.raises(AssetsError, match=r"odd\.bvh"):
        read_pose(tmp_path / "odd.bvh")


def test_an_empty_folder_is_an_empty_library(tmp_path):
    assert read_poses(tmp_path / "none") == []
