"""A capsule figure on the 24 joints: body and clothes as smooth closed surfaces, in T-pose and posed."""

from types import SimpleNamespace

import numpy as np
from scipy.spatial.transform import Rotation
from skimage.measure import marching_cubes

from pamir_blender.contracts import JOINT_PARENTS
from pamir_blender.rigging.rest_pose import pose
from pamir_blender.rigging.skin_weights import limit_influences

JOINTS = np.array(
    [
        [0, 0, 0], [0.1, -0.08, 0], [-0.1, -0.08, 0], [0, 0.12, 0], [0.1, -0.48, 0], [-0.1, -0.48, 0],
        [0, 0.26, 0], [0.1, -0.88, 0], [-0.1, -0.88, 0], [0, 0.32, 0], [0.1, -0.94, 0.1], [-0.1, -0.94, 0.1],
        [0, 0.52, 0], [0.08, 0.44, 0], [-0.08, 0.44, 0], [0, 0.62, 0], [0.18, 0.46, 0], [-0.18, 0.46, 0],
        [0.44, 0.46, 0], [-0.44, 0.46, 0], [0.68, 0.46, 0], [-0.68, 0.46, 0],
        [0.76, 0.46, 0], [-0.76, 0.46, 0],
    ]
)  # fmt: skip
BONES = [(parent, joint) for joint, parent in enumerate(JOINT_PARENTS) if parent >= 0]
RADIUS = {"torso": 0.13, "limb": 0.055}
TORSO = {0, 3, 6, 9, 12, 13, 14}


def transforms_of(angles, joints=JOINTS):
    """Rest-to-posed transforms (24, 4, 4) of axis-angle (24, 3)."""
    world = np.tile(np.eye(4), (24, 1, 1))
    for joint, parent in enumerate(JOINT_PARENTS):
        local = np.eye(4)
        local[:3, :3] = Rotation.from_rotvec(angles[joint]).as_matrix()
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world[joint] = local if parent < 0 else world[parent] @ local
    result = world.copy()
    result[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], joints)
    return result


def distances(points, joints):
    """Signed distance (N, 23) to each bone's capsule."""
    result = []
    points = np.asarray(points, np.float32)
    joints = np.asarray(joints, np.float32)
    for parent, joint in BONES:
        a, b = joints[parent], joints[joint]
        along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        radius = RADIUS["torso" if joint in TORSO and parent in TORSO else "limb"]
        off = points - a - along[:, None] * (b - a)
        result.append(np.sqrt(np.einsum("nx,nx->n", off, off)) - radius)
    return np.stack(result, 1)


def surface(field, step=0.025, extent=1.1):
    """Marching cubes over ``field`` (N, 3) -> (N,), negative inside: vertices, outward faces."""
    line = np.arange(-extent, extent, step)
    depth = np.arange(-0.4, 0.4, step)
    z, y, x = np.meshgrid(depth, line, line, indexing="ij")
    points = np.stack([x, y, z], -1, dtype=np.float32).reshape(-1, 3)
    values = field(points).reshape(z.shape)
    vertices, faces, _, _ = marching_cubes(-values.astype(np.float32), 0.0)
    return (vertices * step + [depth[0], line[0], line[0]])[:, ::-1].astype(np.float32), faces


def bone_weights(points, joints=JOINTS):
    """Dense weights (N, 24): softly the nearest bone's upper joint."""
    near = np.exp(
        -np.maximum(distances(points, joints), 0) / 0.02 - distances(points, joints).clip(-0.2, 0) * 8
    )
    dense = np.zeros((len(points), 24))
    for column, (parent, joint) in enumerate(BONES):
        dense[:, parent if joint not in (22, 23) else joint] += near[:, column]
    return dense / dense.sum(1, keepdims=True)


def make_figure(angles):
    transforms = transforms_of(angles)
    rest, faces = surface(lambda p: distances(p, JOINTS).min(1))
    joints, weights = limit_influences(bone_weights(rest))
    posed_joints = np.einsum("jab,jb->ja", transforms[:, :3, :3], JOINTS) + transforms[:, :3, 3]
    clothed, clothed_faces = surface(lambda p: distances(p, posed_joints).min(1) - 0.015)
    dense = np.zeros((len(rest), 24))
    np.put_along_axis(dense, joints.astype(int), weights, 1)
    return SimpleNamespace(
        angles=angles, transforms=transforms, joints_rest=JOINTS, joints_posed=posed_joints,
        body_rest=rest, body=pose(rest, joints, weights, transforms), body_faces=faces, body_weights=dense,
        vertices=clothed, faces=clothed_faces,
    )  # fmt: skip
