"""One iteration of body reference optimisation: ours, and the plain form that it is compared with.

The plain form evaluates the whole network as training does: the photo is encoded again, every body vertex is
asked, and automatic differentiation goes from the energy back to pose and betas.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import torch

from .body.model import BodyModel
from .body.posed import pose_body
from .contracts import Body, Photo
from .pamir.body_energy import ETA
from .pamir.body_optimisation import optimise_body
from .pamir.networks import FieldNetworks, body_volume, network_image
from .photo.frontend import prepare_photo
from .pipeline import Backend
from .pipeline.states import body_of
from .saved import read_saved

ITERATIONS = 4


def measure_iterations(backend: Backend, result: Path, size: str, runs: int) -> tuple[float, float]:
    """Seconds of one iteration, medians of ``runs``: our form, and the plain form, taking turns."""
    saved = read_saved(result)
    model, networks = backend.body_model(None), backend.networks(size)
    photo = prepare_photo(Path(saved.options["photo"]))
    body = body_of(saved.body, model.name)
    features = networks.encode(photo, pose_body(model, body), texture=False)
    ours, plain = [], []
    for _ in range(runs):
        began = time.perf_counter()
        found = optimise_body(networks, features, model, body, iterations=ITERATIONS)
        # Before the first iteration the start is evaluated as well.
        ours.append((time.perf_counter() - began) / len(found.energy))
        began = time.perf_counter()
        plain_iteration(networks, model, photo, body)
        plain.append(time.perf_counter() - began)
    return statistics.median(ours), statistics.median(plain)


def plain_iteration(networks: FieldNetworks, model: BodyModel, photo: Photo, body: Body) -> None:
    """The gradient of eq. 10 by pose and betas, everything computed from the photo on."""
    geometry, device = networks.geometry, networks.device
    config = geometry.config
    pose = torch.tensor(body.pose, device=device)[None].requires_grad_(True)
    betas = torch.tensor(body.betas, device=device)[None].requires_grad_(True)
    image = network_image(photo, config.image.image_size, config.image.image_channels).to(device)
    volume = body_volume(pose_body(model, body), config.volume, device)
    place = body.placement
    vertices = model(betas, pose).vertices * place.scale + torch.tensor(place.translation, device=device)
    occupancy = geometry(image, volume, vertices.float())
    level = occupancy - 0.5
    torch.where(level < 0, -ETA * level, level).mean().backward()
