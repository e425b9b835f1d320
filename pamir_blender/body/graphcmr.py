"""A body from a photo by GraphCMR: the networks' output as parameters of our body model and its placement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from ..camera import Placement
from ..contracts import Body, Photo
from ..errors import Cancelled, WeightsError
from .graph_network import GraphCmr, GraphCmrConfig
from .mesh_graph import BodyGraph, body_graph
from .model import BodyModel
from .skinning import matrix_to_axis_angle

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_NDC_TO_BOX = {"paper": 0.5, "released": 256.0 / 500.0}
"""Box units per unit of normalised image coordinates: half the box, or the released perspective at z = 0."""

__all__ = [
    "GraphCmr",
    "GraphCmrConfig",
    "GraphCmrEstimator",
    "camera_of",
    "masked_input",
    "network_input",
    "place_body",
]


class GraphCmrEstimator:
    """Estimates a body by one pass of GraphCMR; plugs in where the landmark fit does.

    ``network``: with trained weights; None raises WeightsError on use, because no GraphCMR weights ship with
    the project. ``graph``: the body graph the weights were trained on; None builds the body model's own.
    """

    name = "graphcmr"

    def __init__(
        self,
        network: GraphCmr | None = None,
        graph: BodyGraph | None = None,
        *,
        cache_folder: Path | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.network = None if network is None else network.to(device).eval()
        self.graph = graph
        self.cache_folder = cache_folder
        self.device = torch.device(device)

    def estimate(
        self,
        photo: Photo,
        model: BodyModel,
        *,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        seed: int = 0,
    ) -> Body:
        """The body in ``photo`` as parameters of ``model``; ``confidence`` is empty, GraphCMR states none.

        ``seed`` is not used: the estimate has no randomness. Raises WeightsError without weights or with a
        graph of another body, Cancelled when asked to stop.
        """
        if self.network is None:
            raise WeightsError(
                "GraphCMR has no weights: none ship with PaMIR for Blender. Choose a GraphCMR checkpoint of "
                "your own, or estimate the body from landmarks."
            )
        if cancelled is not None and cancelled():
            raise Cancelled("The body estimate was stopped.")
        self.network.attach(self._graph_of(model))
        with torch.no_grad():
            image = estimator_input(photo, self.network.config).to(self.device)
            _, camera, rotations, betas = self.network(image)
            if cancelled is not None and cancelled():
                raise Cancelled("The body estimate was stopped.")
            body = place_body(
                model, camera[0].cpu(), rotations[0].cpu(), betas[0].cpu(), self.network.config.variant
            )
        if progress is not None:
            progress(1.0)
        return body

    def _graph_of(self, model: BodyModel) -> BodyGraph:
        if self.graph is None:
            self.graph = body_graph(model, self.cache_folder)
        if self.graph.model != model.name:
            raise WeightsError(
                f"The GraphCMR weights belong to the body model {self.graph.model}, not to {model.name}. "
                f"Choose that body model, or estimate the body from landmarks."
            )
        return self.graph


def network_input(crop: np.ndarray, size: int) -> Tensor:
    """A crop (S, S, 3) uint8 sRGB to (1, 3, size, size) float32, normalised as ImageNet's images are."""
    method = cv2.INTER_AREA if size < crop.shape[0] else cv2.INTER_LINEAR
    image = cv2.resize(crop, (size, size), interpolation=method).astype(np.float32) / 255.0
    image = (image - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def masked_input(image: np.ndarray, mask: np.ndarray) -> Tensor:
    """The small encoder's input (4, S, S) of an image (S, S, 3) in [0, 1] and a mask (S, S) in [0, 1].

    Grey takes the background's place, which ImageNet's normalisation makes nearly zero.
    """
    mean, deviation = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    normalised = (image.astype(np.float32) - mean) / deviation * mask[..., None]
    channels = np.concatenate([normalised, mask[..., None].astype(np.float32)], axis=-1)
    return torch.from_numpy(np.ascontiguousarray(channels.transpose(2, 0, 1)))


def estimator_input(photo: Photo, config: GraphCmrConfig) -> Tensor:
    """What a network of that configuration sees of a photo: (1, 3 or 4, S, S)."""
    size = config.image_size
    if config.encoder != "small":
        return network_input(photo.crop, size)
    method = cv2.INTER_AREA if size < photo.crop.shape[0] else cv2.INTER_LINEAR
    image = cv2.resize(photo.crop, (size, size), interpolation=method).astype(np.float32) / 255.0
    mask = cv2.resize(photo.crop_mask.astype(np.float32), (size, size), interpolation=method)
    return masked_input(image, mask)[None]


def camera_of(scale: Tensor, shift: Tensor, pelvis: Tensor) -> Tensor:
    """The inverse of :func:`place_body`'s camera, variant "paper": (B, 3) scale and shift.

    ``scale`` (B,) box units per metre, ``shift`` (B, 2) box x, y of the placement, ``pelvis`` (B, 3) at rest.
    """
    x = shift[:, 0] / scale
    y = -shift[:, 1] / scale - 2.0 * pelvis[:, 1]
    return torch.stack([scale / _NDC_TO_BOX["paper"], x, y], dim=1)


def place_body(
    model: BodyModel, camera: Tensor, rotations: Tensor, betas: Tensor, variant: str = "paper"
) -> Body:
    """GraphCMR's output as a :class:`Body` in our frames.

    ``camera`` (3,): scale and shift, normalised image = scale * (xy + shift), y down; ``rotations``
    (24, 3, 3); ``betas`` (10,). GraphCMR's posed space has y down and z away from the viewer, that is, ours
    turned by half a turn about x; the turn goes into the root's rotation. Raises WeightsError for a camera
    that shows the body mirrored or not at all.
    """
    scale, shift_x, shift_y = (float(c) for c in camera)
    numbers = torch.cat([camera.flatten(), rotations.flatten(), betas.flatten()])
    if not bool(torch.isfinite(numbers).all()) or scale <= 0:
        raise WeightsError(
            f"GraphCMR gave no usable camera for this photo (scale {scale:.3g}). Estimate the body from "
            f"landmarks."
        )
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotations = torch.cat([(turn @ rotations[0])[None], rotations[1:]])
    # SMPL turns about the pelvis, not about the origin: the half turn moves the pelvis, ours must not.
    pelvis = model.rest_joints(betas[None])[0, 0]
    moved = (turn @ pelvis - pelvis).numpy()
    box_scale = scale * _NDC_TO_BOX[variant]
    translation = box_scale * (np.array([shift_x, -shift_y, 0.0]) + moved)
    pose = matrix_to_axis_angle(rotations)
    return Body(
        betas=betas.numpy().astype(np.float32),
        pose=pose.numpy().astype(np.float32),
        placement=Placement(box_scale, tuple(float(t) for t in translation)),
        model=model.name,
    )
