"""One hypothesis: the surface of a photo and a body, rigged, painted and written into its folder."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..character import ShownElsewhere, build_character, color_vertices, paint, rig
from ..check import versions
from ..contracts import Photo, PosedBody
from ..options import PhotoOptions
from ..pamir.colour import PhotoVisibility
from ..pamir.networks import FieldNetworks, FieldOfPhoto
from ..pamir.surface import Extraction
from ..result import write_json
from ..save import save_character, save_preview
from .held_limbs import HeldLimbs
from .job import Job


@dataclass(frozen=True)
class Hypothesis:
    """What a surface is made from, and how its body came about.

    ``kind`` "estimate", "regenerated" or "suggested"; ``edited`` names of joints that the artist posed;
    ``flipped`` limbs mirrored in depth; ``optimisation`` the report on body reference optimisation or None;
    ``body_from`` what found the body, or "given", and ``body_weights`` the digests of networks for it;
    ``held`` limbs that the artist posed where the photo shows none, and ``shown_features`` of the body that
    it does show, for their colours (None where none are wanted).
    """

    photo: Photo
    posed: PosedBody
    networks: FieldNetworks
    features: FieldOfPhoto
    kind: str
    edited: tuple[str, ...] = ()
    flipped: tuple[str, ...] = ()
    optimisation: dict[str, Any] | None = None
    body_from: str = "given"
    body_weights: dict[str, str] = field(default_factory=dict)
    held: HeldLimbs | None = None
    shown_features: FieldOfPhoto | None = None


def with_body(made: Hypothesis, posed: PosedBody) -> Hypothesis:
    """The same photo with another body: its volume is encoded anew, the picture is not."""
    texture = made.features.texture is not None
    features = made.networks.encode(made.photo, posed, texture=texture, maps=made.features.image_maps)
    return replace(made, posed=posed, features=features)


def clothe(job: Job, made: Hypothesis, options: PhotoOptions, folder: Path) -> None:
    """The whole result: stages "surface", "rig", "texture" (if wanted) and "save"."""
    photo, posed, networks = made.photo, made.posed, made.networks
    extraction = _surface(job, made, options.resolution)
    surface = extraction.surface
    with job.stage("rig") as progress:
        character = build_character(
            surface, posed, faces=options.faces, texture_size=options.texture_size, progress=progress
        )
    if options.texture:
        with job.stage("texture") as progress:
            surface, character = paint(
                surface,
                character,
                photo,
                networks.colour(made.features),
                texture_size=options.texture_size,
                shown=_shown(made),
                device=networks.device,
                progress=progress,
                cancelled=job.cancelled,
            )
    with job.stage("save") as progress:
        content = save_character(folder, photo, character, surface, progress)
    write_json(folder, {**content, **_report(job, made, options, extraction)})


def show(job: Job, made: Hypothesis, options: PhotoOptions, folder: Path) -> None:
    """The preview: surface, skin weights and vertex colours, and nothing that is slow."""
    photo, posed, networks = made.photo, made.posed, made.networks
    extraction = _surface(job, made, options.resolution)
    with job.stage("rig") as progress:
        character = rig(extraction.surface, posed, faces=options.faces, progress=progress)
        colors = color_vertices(
            character.vertices,
            character.faces,
            photo,
            networks.colour(made.features),
            shown=_shown(made),
            device=networks.device,
            cancelled=job.cancelled,
        )
    with job.stage("save"):
        content = save_preview(folder, photo, character, colors)
    write_json(folder, {"stage": "preview", **content, **_report(job, made, options, extraction)})


def _surface(job: Job, made: Hypothesis, resolution: int) -> Extraction:
    with job.stage("surface") as progress:
        held = {} if made.held is None else {"change": made.held.over}
        return made.networks.surface(
            made.features,
            made.posed,
            resolution,
            mask=made.photo.crop_mask,
            progress=progress,
            cancelled=job.cancelled,
            **held,
        )


def _shown(made: Hypothesis) -> ShownElsewhere | None:
    """Where the photo shows the held limbs, and the colours of the body that it shows there."""
    if made.held is None or made.shown_features is None:
        return None
    shown = made.held.shown
    return ShownElsewhere(
        made.held.where_shown,
        made.networks.colour(made.shown_features),
        PhotoVisibility(shown.vertices, shown.faces),
    )


def _report(job: Job, made: Hypothesis, options: PhotoOptions, extraction: Extraction) -> dict[str, Any]:
    common = {option.name: getattr(options, option.name) for option in fields(PhotoOptions)}
    return {
        "version": __version__,
        "surface": {
            "resolution": options.resolution,
            "vertices": len(extraction.surface.vertices),
            "faces": len(extraction.surface.faces),
            "points_evaluated": extraction.points_evaluated,
            "components": extraction.components,
            "dropped_fraction": round(extraction.dropped_fraction, 5),
            "outline_iou": None if extraction.outline_iou is None else round(extraction.outline_iou, 4),
        },
        "hypothesis": {
            "kind": made.kind,
            "edited": list(made.edited),
            "flipped": list(made.flipped),
            "body_from": made.body_from,
            "held": made.held.names if made.held else [],
        },
        "optimisation": made.optimisation,
        "options": common,
        "weights": made.networks.digests | made.body_weights,
        "device": str(made.networks.device),
        "versions": versions(),
        "timings": job.timings,
    }
