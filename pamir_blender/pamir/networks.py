"""Both networks of one size, and the field they give for one photo and one body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from ..contracts import Photo, PosedBody
from ..errors import Cancelled
from .config import GeometryConfig, TextureConfig, VolumeEncoderConfig
from .field import Query
from .field_features import FieldFeatures, query_logits
from .geometry import GeometryNetwork
from .mending import find_mending
from .outline import onto_outline, outline_iou
from .semantic import voxelise_semantic
from .surface import Extraction, extract
from .texture import TextureNetwork
from .voxelise import voxelise_occupancy
from .weight_pairs import check_pair
from .weights import find_weights, load_geometry, load_texture, weights_digest

FIRST_SEARCH = 0.6
"""Part of the surface's progress that the first search is given; the rest belongs to a second, if needed."""

SURE = 4.0
"""Logit, of either sign, from which on a point is not asked in the mirror: a second opinion would hardly ever
move the surface there, and half of all points are saved. Over the last unit before it the opinion fades."""


@dataclass(frozen=True)
class FieldOfPhoto:
    """The implicit fields of one photo and one body, ready to be queried; ``texture`` None if not wanted.

    ``mirrored``: the geometry of photo and body seen in a mirror, None where it is not asked.
    """

    geometry: FieldFeatures
    texture: FieldFeatures | None
    mirrored: FieldFeatures | None = None

    @property
    def image_maps(self) -> ImageMaps:
        """The photo's own part, for :meth:`FieldNetworks.encode` with another body."""
        return ImageMaps(
            self.geometry.image_maps[0],
            self.texture.image_maps[0] if self.texture is not None else None,
            self.mirrored.image_maps[0] if self.mirrored is not None else None,
        )


@dataclass(frozen=True)
class ImageMaps:
    """What the image encoders made of one photo, (1, C, H, W) each; it does not depend on the body."""

    geometry: Tensor
    texture: Tensor | None
    mirrored: Tensor | None = None

    def and_those_of(self, earlier: ImageMaps | None) -> ImageMaps:
        """These, and what only an ``earlier`` field of the same photo had."""
        if earlier is None:
            return self
        texture = earlier.texture if self.texture is None else self.texture
        mirrored = earlier.mirrored if self.mirrored is None else self.mirrored
        return ImageMaps(self.geometry, texture, mirrored)


@dataclass
class FieldNetworks:
    """Geometry and texture network, the latter None if colours are not wanted.

    ``digests`` are their files' hashes, None for untrained ones. ``mirrored``: photo and body are also shown
    to the geometry network in a mirror, and where it is unsure the mean of both logits counts. Nothing in a
    photo tells left from right, so what the two disagree about is the network's own error; less of it costs a
    second query of half the points. For volumes of one channel: a semantic code would have to change its
    sides, too.
    """

    geometry: GeometryNetwork
    texture: TextureNetwork | None
    device: torch.device
    digests: dict[str, str | None] = field(default_factory=dict)
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.mirrored and self.geometry.config.volume.channels != 1:
            raise ValueError("only a body volume of one channel can be seen in a mirror")

    def encode(
        self,
        photo: Photo,
        posed: PosedBody,
        *,
        texture: bool = True,
        maps: ImageMaps | None = None,
        mirror: bool = True,
    ) -> FieldOfPhoto:
        """Image and volume features of a photo and a body.

        ``maps``: those of an earlier field of the same photo, so that only the body is encoded. ``mirror``
        False: networks that are asked in a mirror are not, which takes half the time.
        """
        texture_map = maps.texture if maps is not None else None
        volume = body_volume(posed, self.geometry.config.volume, self.device)
        shape = self.encode_shape(photo, volume, maps=maps, mirror=mirror)
        if not texture:
            return shape
        geometry, config = shape.geometry, self.texture.config
        if _volume_form(config.volume) != _volume_form(self.geometry.config.volume):
            volume = body_volume(posed, config.volume, self.device)
        reads_geometry = geometry if config.geometry_channels else None
        image = self._image(photo, config, texture_map)
        painted = self.texture.prepare(image, volume, geometry=reads_geometry, image_map=texture_map)
        return replace(shape, texture=painted)

    def encode_shape(
        self, photo: Photo, volume: Tensor, *, maps: ImageMaps | None = None, mirror: bool = True
    ) -> FieldOfPhoto:
        """The geometry of a photo and a volume V_O (1, Cv, R, R, R), without texture."""
        known = maps.geometry if maps is not None else None
        image = self._image(photo, self.geometry.config, known)
        geometry = self.geometry.prepare(image, volume, image_map=known)
        if not (self.mirrored and mirror):
            return FieldOfPhoto(geometry, None)
        known = maps.mirrored if maps is not None else None
        image = self._image(photo, self.geometry.config, known)
        flipped = image.flip(-1) if image is not None else None
        mirrored = self.geometry.prepare(flipped, volume.flip(-1), image_map=known)
        return FieldOfPhoto(geometry, None, mirrored)

    def _image(
        self, photo: Photo, config: GeometryConfig | TextureConfig, known: Tensor | None
    ) -> Tensor | None:
        """The network's picture of a photo, unless its map is ``known`` already."""
        if known is not None:
            return None
        return network_image(photo, config.image.image_size, config.image.image_channels).to(self.device)

    def occupancy(self, features: FieldOfPhoto) -> Callable[[Tensor], Tensor]:
        """Points (N, 3) of the box to occupancy (N,)."""
        if features.mirrored is None:
            return lambda points: self.geometry.query(features.geometry, points)

        def both(points: Tensor) -> Tensor:
            logits = query_logits(features.geometry, points).squeeze(-1)
            unsure = torch.nonzero(logits.abs() < SURE).squeeze(-1)
            flipped = points[unsure] * points.new_tensor([-1.0, 1.0, 1.0])
            first, second = logits[unsure], query_logits(features.mirrored, flipped).squeeze(-1)
            say = (SURE - first.abs()).clamp(max=1.0) / 2  # falls to nothing, so that the field has no step
            logits[unsure] = first + say * (second - first)
            return torch.sigmoid(logits)

        return both

    def colour(self, features: FieldOfPhoto) -> Callable[[Tensor], Tensor]:
        """Points (N, 3) of the box to RGB and alpha (N, 4)."""
        return lambda points: self.texture.query(features.texture, points)

    def surface(
        self,
        features: FieldOfPhoto,
        posed: PosedBody,
        resolution: int,
        *,
        mask: np.ndarray | None = None,
        change: Callable[[Query], Query] = lambda query: query,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Extraction:
        """The clothed surface in the box, looked for first where the body is.

        ``mask`` (S, S) of the photo: where it shows the person and the surface has a hole, the field is
        raised (:mod:`.mending`) and searched again, and then the surface's outline is moved onto the mask's
        (:mod:`.outline`). ``change`` makes the field that is searched out of the network's; it has the last
        word, so that what it takes away is not mended.
        Raises SurfaceError when there is no surface, Cancelled when ``cancelled()`` turns true.
        """
        query = self.occupancy(features)
        report = progress or (lambda fraction: None)

        def check() -> None:
            if cancelled is not None and cancelled():
                raise Cancelled("surface extraction was cancelled")

        find = partial(
            extract, resolution=resolution, hint=posed.vertices, device=self.device, cancelled=cancelled
        )
        changed = change(query)
        if mask is None:
            return find(changed, progress=progress)
        found = find(changed, progress=lambda fraction: report(FIRST_SEARCH * fraction))
        mending = find_mending(changed, found.surface, mask, resolution, device=self.device, check=check)
        evaluated = found.points_evaluated + mending.points_evaluated
        if mending.needed:
            found = find(
                change(mending.over(query)),
                progress=lambda fraction: report(FIRST_SEARCH + (1 - FIRST_SEARCH) * fraction),
            )
            evaluated += found.points_evaluated
        vertices, faces = found.surface.vertices, found.surface.faces
        overlap = outline_iou(vertices, faces, mask)
        moved = onto_outline(vertices, faces, mask)
        report(1.0)
        surface = replace(found.surface, vertices=moved)
        return replace(found, surface=surface, points_evaluated=evaluated, outline_iou=overlap)


def network_image(photo: Photo, size: int, channels: int) -> Tensor:
    """The crop as a network sees it: (1, C, S, S) float32, RGB in [0, 1] on white; channel 3 is the mask."""
    planes = [photo.crop.astype(np.float32) / 255, photo.crop_mask.astype(np.float32)[..., None]]
    image = np.concatenate(planes, axis=2)[..., :channels]
    side = image.shape[0]
    if size != side:
        smooth = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
        image = cv2.resize(image, (size, size), interpolation=smooth)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def body_volume(posed: PosedBody, config: VolumeEncoderConfig, device: torch.device) -> Tensor:
    """V_O (1, C, R, R, R) of a body: plain occupancy for one channel, the semantic code for three."""
    vertices = torch.from_numpy(posed.vertices)[None].to(device)
    faces = torch.from_numpy(posed.faces).to(device)
    if config.channels == 1:
        return voxelise_occupancy(vertices, faces, config.resolution)
    return voxelise_semantic(vertices, faces, torch.from_numpy(posed.template).to(device), config.resolution)


def _volume_form(config: VolumeEncoderConfig) -> tuple[int, int]:
    """All of a configuration that :func:`body_volume` depends on."""
    return config.channels, config.resolution


def asks_mirror(config: GeometryConfig) -> bool:
    """Whether a network is asked in a mirror, too: the ``lite`` ones are, the published one as published."""
    return config.size == "lite" and config.volume.channels == 1


def load_networks(
    size: str, folder: Path | None, device: torch.device, *, texture: bool = True
) -> FieldNetworks:
    """The networks of a size from ``folder``, or the shipped ones. Raises :class:`WeightsError`."""
    paths = {
        kind: find_weights(kind, size, folder) for kind in ("geometry", "texture")[: 2 if texture else 1]
    }
    geometry = load_geometry(paths["geometry"], device=device)
    networks = FieldNetworks(
        geometry,
        load_texture(paths["texture"], device=device) if texture else None,
        device,
        {kind: weights_digest(path) for kind, path in paths.items()},
        mirrored=asks_mirror(geometry.config),
    )
    check_pair(networks, paths, size)
    return networks


def untrained_networks(size: str, device: torch.device, seed: int = 0) -> FieldNetworks:
    """Networks with random weights, for timing and tests; they reconstruct nothing."""
    torch.manual_seed(seed)
    geometry = GeometryNetwork(getattr(GeometryConfig, size)()).to(device).eval()
    texture = TextureNetwork(getattr(TextureConfig, size)()).to(device).eval()
    return FieldNetworks(geometry, texture, device, {"geometry": None, "texture": None})
