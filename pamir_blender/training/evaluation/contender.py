"""The networks under test, by name, and the meshes they give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...contracts import Photo
from ...errors import RequestError, WeightsError
from ...pamir.networks import FieldNetworks, FieldOfPhoto, asks_mirror
from ...pamir.weights import find_weights, load_geometry, read_card, weights_digest
from ..metrics import Mesh
from ..variants import VARIANTS, depth_ramp
from .case import BodyShape

SHIPPED = "shipped"


@dataclass(frozen=True)
class Contender:
    """A geometry network under the name that the tables give it.

    ``variant`` "pamir", or "pifu" for a baseline that was trained on a depth ramp in the body's place.
    ``card`` what its weights file says of its training. ``plain``: the field as published, asked once, and
    its surface as it is; otherwise it is what users get, with the mirror and the mask's help.
    """

    name: str
    path: Path
    digest: str
    networks: FieldNetworks
    variant: str
    card: dict[str, Any]
    plain: bool = False

    @property
    def reads_body(self) -> bool:
        """Whether the conditioning body changes anything."""
        return self.variant == "pamir"

    @property
    def command(self) -> list[str]:
        """The words of the command that trained it; none where its card has them not as words."""
        words = self.card.get("command")
        return [str(word) for word in words] if isinstance(words, list) else []

    def encode(self, photo: Photo, body: BodyShape) -> FieldOfPhoto:
        """The field of a photo and a body; the body is left out where the network never saw one."""
        if self.reads_body:
            return self.networks.encode(photo, body, texture=False)
        ramp = depth_ramp(self.networks.geometry.config.volume.resolution)[None].to(self.networks.device)
        return self.networks.encode_shape(photo, ramp)

    def mesh(self, photo: Photo, body: BodyShape, resolution: int) -> Mesh:
        """The reconstruction in the box. Raises SurfaceError when there is none."""
        features = self.encode(photo, body)
        mask = None if self.plain else photo.crop_mask
        surface = self.networks.surface(features, body, resolution, mask=mask).surface
        return surface.vertices, surface.faces


def parse_weights(values: list[str] | None) -> dict[str, Path | None]:
    """``NAME=DIR`` arguments to {name: folder or file}; without any the shipped weights, of path None."""
    if not values:
        return {SHIPPED: None}
    found: dict[str, Path | None] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if value == SHIPPED:
            name, path = SHIPPED, ""
        elif not equals or not name.strip() or not path:
            raise RequestError(f"--weights takes NAME=DIR or 'shipped', not {value!r}.")
        if name in found:
            raise RequestError(f"--weights names {name!r} twice. Give every network a name of its own.")
        found[name] = Path(path) if path else None
    return found


def geometry_file(place: Path | None, size: str) -> Path:
    """The geometry weights at ``place``: that file, or a folder's ``SIZE_geometry`` or ``weights`` file.

    The latter is what a training writes. Raises WeightsError when there is neither.
    """
    if place is None or (place.is_dir() and (place / f"{size}_geometry.safetensors").is_file()):
        return find_weights("geometry", size, place)
    if place.is_file():
        return place
    for name in ("weights.safetensors", "geometry/weights.safetensors"):
        if (place / name).is_file():
            return place / name
    raise WeightsError(
        f"There are no geometry weights at {place}: neither a weights file, nor a folder with "
        f"{size}_geometry.safetensors or weights.safetensors."
    )


def load_contender(
    name: str, place: Path | None, size: str, device: torch.device, *, plain: bool = False
) -> Contender:
    """Read a network and what its card says; ``plain``: see :class:`Contender`. Raises WeightsError."""
    path = geometry_file(place, size)
    card = read_card(path)
    variant = card.get("variant", "pamir")
    if variant not in VARIANTS:
        raise WeightsError(f"{path} was trained as {variant!r}, which is not known here.")
    digest = weights_digest(path)
    geometry = load_geometry(path, device=device)
    mirrored = not plain and asks_mirror(geometry.config)
    networks = FieldNetworks(geometry, None, device, {"geometry": digest}, mirrored)
    if variant == "pifu" and networks.geometry.config.volume.channels != 1:
        raise WeightsError(f"{path} is a baseline without a body but reads a volume of several channels.")
    return Contender(name, path, digest, networks, variant, card, plain)
