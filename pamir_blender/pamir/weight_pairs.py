"""Whether a geometry and a texture network, each whole by itself, belong together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WeightsError
from .weights import read_card

if TYPE_CHECKING:
    from .networks import FieldNetworks

_ADVICE = "Put back the pair of files that came together."


def check_pair(networks: FieldNetworks, paths: dict[str, Path], size: str) -> None:
    """Raise :class:`WeightsError` for networks of another size than ``size``, or that were not made together.

    ``paths`` are the files of "geometry" and, if there is a texture network, "texture". A texture network
    that reads the geometry network's features (PaMIR section 4.5: its encoder is frozen and shared) works
    with that very network only; its card names the one that it was trained with. A card that names none is
    believed if the features fit.
    """
    geometry, texture = networks.geometry.config, networks.texture.config if networks.texture else None
    for kind, config in (("geometry", geometry), ("texture", texture)):
        if config is not None and config.size != size:
            raise WeightsError(
                f"The weights file {paths[kind]} holds a network of size {config.size}, not {size}. "
                "Rename it, or choose that size in the preferences."
            )
    if texture is None or not texture.geometry_channels:
        return
    if texture.geometry_channels != geometry.image.feature_channels:
        raise WeightsError(
            f"The weights files {paths['geometry']} and {paths['texture'].name} do not fit each other: the "
            f"geometry has {geometry.image.feature_channels} features a pixel, the texture reads "
            f"{texture.geometry_channels}. {_ADVICE}"
        )
    made_with = read_card(paths["texture"]).get("geometry")
    if isinstance(made_with, str) and made_with != networks.digests["geometry"]:
        raise WeightsError(
            f"The weights files {paths['geometry']} and {paths['texture'].name} do not belong together: the "
            f"texture was trained with the geometry {made_with[:12]}, this one is "
            f"{networks.digests['geometry'][:12]}. {_ADVICE}"
        )
