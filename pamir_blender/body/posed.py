"""A body's parameters to the plain arrays that every later stage works with."""

from __future__ import annotations

import numpy as np
import torch

from ..camera import CharacterFrame
from ..contracts import Body, PosedBody
from .model import BodyModel


def pose_body(model: BodyModel, body: Body, frame: CharacterFrame | None = None) -> PosedBody:
    """Pose ``model`` by ``body``'s betas, pose and placement.

    ``frame``: the character frame of an earlier body of the same person, of the same scale; by default the
    body's own, with its pelvis above the origin and its lowest vertex on the floor.
    """
    device = model.template.device
    with torch.no_grad():
        betas = torch.as_tensor(np.asarray(body.betas, np.float32), device=device)[None]
        pose = torch.as_tensor(np.asarray(body.pose, np.float32), device=device)[None]
        posed = model(betas, pose)
        shaped = model.template + torch.einsum("vcs,s->vc", model.shapedirs, betas[0])

    def array(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy().astype(np.float32)

    vertices = body.placement.body_to_box(array(posed.vertices[0])).astype(np.float32)
    pelvis = body.placement.body_to_box(array(posed.joints[0, 0]))
    origin = (float(pelvis[0]), float(vertices[:, 1].min()), float(pelvis[2]))
    frame = frame or CharacterFrame(body.placement.scale, origin)
    return PosedBody(
        body=body,
        frame=frame,
        vertices=vertices,
        faces=model.faces.cpu().numpy().astype(np.int32),
        template=array(model.template),
        shapedirs=array(model.shapedirs),
        pose_corrective=array(posed.rest_vertices[0] - shaped),
        joints_template=array(model.joint_template),
        joints_shapedirs=array(model.joint_shapedirs),
        joints_rest=array(posed.rest_joints[0]),
        transforms=array(posed.transforms[0]),
        skinning_weights=array(model.skinning_weights),
        offset=frame.body_offset(body.placement).astype(np.float32),
    )
