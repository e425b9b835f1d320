"""The body model: betas and pose to posed vertices and joints, in SMPL's format."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..contracts import JOINT_PARENTS
from ..errors import BodyModelError
from .skinning import forward_kinematics, linear_blend_skinning, pose_features, rodrigues


@dataclass(frozen=True)
class BodyOutput:
    """Posed bodies; metres in the body frame (see :mod:`pamir_blender.camera`).

    ``vertices`` (B, V, 3); ``joints`` (B, 24, 3); ``transforms`` (B, 24, 4, 4) from rest to posed space;
    ``rest_vertices`` (B, V, 3) T-pose with betas and pose correctives; ``rest_joints`` (B, 24, 3).
    """

    vertices: Tensor
    joints: Tensor
    transforms: Tensor
    rest_vertices: Tensor
    rest_joints: Tensor


class BodyModel(nn.Module):
    """A body in SMPL's format (Loper et al. 2015, eqs. 2-10); buffers only, nothing to train.

    Args:
        name: which model this is; stored in :class:`~pamir_blender.contracts.Body`.
        template: (V, 3) metres, T-pose, y up, facing +z, left = +x.
        faces: (F, 3) integers, counter-clockwise from outside.
        shapedirs: (V, 3, 10) metres per unit of beta.
        posedirs: (V, 3, 207) metres per element of R - I.
        joint_regressor: (24, V), rows sum to 1.
        skinning_weights: (V, 24), rows sum to 1.
    """

    template: Tensor
    faces: Tensor
    shapedirs: Tensor
    posedirs: Tensor
    joint_regressor: Tensor
    skinning_weights: Tensor

    def __init__(
        self,
        name: str,
        template: Tensor,
        faces: Tensor,
        shapedirs: Tensor,
        posedirs: Tensor,
        joint_regressor: Tensor,
        skinning_weights: Tensor,
    ) -> None:
        super().__init__()
        self.name = name
        for key, value in (
            ("template", template), ("faces", faces), ("shapedirs", shapedirs), ("posedirs", posedirs),
            ("joint_regressor", joint_regressor), ("skinning_weights", skinning_weights),
        ):  # fmt: skip
            self.register_buffer(key, value, persistent=False)
        # The regressor is linear, so joints follow the betas without touching the vertices.
        self.register_buffer("joint_template", joint_regressor @ template, persistent=False)
        self.register_buffer(
            "joint_shapedirs", torch.einsum("jv,vcs->jcs", joint_regressor, shapedirs), persistent=False
        )
        self.register_buffer(
            "_flat_posedirs", posedirs.reshape(-1, posedirs.shape[-1]).T.contiguous(), persistent=False
        )

    @property
    def vertex_count(self) -> int:
        """Number of vertices V."""
        return self.template.shape[0]

    def rotations(self, pose: Tensor) -> Tensor:
        """Pose (B, 24, 3) axis-angle or (B, 24, 3, 3) to rotation matrices (B, 24, 3, 3)."""
        if pose.ndim == 3 and pose.shape[1:] == (24, 3):
            return rodrigues(pose)
        if pose.ndim == 4 and pose.shape[1:] == (24, 3, 3):
            return pose
        raise BodyModelError(f"A pose must be (B, 24, 3) or (B, 24, 3, 3), not {tuple(pose.shape)}.")

    def rest_joints(self, betas: Tensor) -> Tensor:
        """(B, 24, 3) T-pose joints of shapes ``betas`` (B, 10)."""
        return self.joint_template + torch.einsum("jcs,bs->bjc", self.joint_shapedirs, betas)

    def pose_joints(self, betas: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (B, 24, 3) and transforms (B, 24, 4, 4) alone, without any vertex."""
        return forward_kinematics(self.rotations(pose), self.rest_joints(betas), JOINT_PARENTS)

    def forward(self, betas: Tensor, pose: Tensor, *, correctives: bool = True) -> BodyOutput:
        """Pose bodies.

        Args:
            betas: (B, 10).
            pose: (B, 24, 3) axis-angle in radians, or (B, 24, 3, 3) rotation matrices.
            correctives: add the pose-dependent offsets (SMPL eq. 9).

        Raises:
            BodyModelError: a shape that is not one of these.
        """
        if betas.ndim != 2 or betas.shape[1] != 10 or betas.shape[0] != pose.shape[0]:
            raise BodyModelError(
                f"Betas must be (B, 10) with the pose's batch, not {tuple(betas.shape)} "
                f"for {tuple(pose.shape)}."
            )
        rotations = self.rotations(pose)
        shaped = self.template + torch.einsum("vcs,bs->bvc", self.shapedirs, betas)
        if correctives:
            shaped = shaped + (pose_features(rotations) @ self._flat_posedirs).reshape(shaped.shape)
        rest_joints = self.rest_joints(betas)
        joints, transforms = forward_kinematics(rotations, rest_joints, JOINT_PARENTS)
        vertices = linear_blend_skinning(shaped, self.skinning_weights, transforms)
        return BodyOutput(vertices, joints, transforms, shaped, rest_joints)
