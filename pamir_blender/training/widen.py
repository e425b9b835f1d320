"""Trained networks get parts that they were trained without, and compute the same until these are trained."""

from __future__ import annotations

from dataclasses import replace

from ..pamir.config import GeometryConfig
from ..pamir.geometry import GeometryNetwork


def with_context(network: GeometryNetwork, widths: tuple[int, ...]) -> GeometryNetwork:
    """``network`` with the coarser levels ``widths`` in its volume encoder; itself if it has some already."""
    if network.config.volume.context or not widths:
        return network
    return _rebuilt(network, replace(network.config, volume=replace(network.config.volume, context=widths)))


def with_fusion(network: GeometryNetwork, widths: tuple[int, ...]) -> GeometryNetwork:
    """``network`` with levels ``widths`` that see photo and body together; itself if it has some already."""
    if network.config.fusion or not widths:
        return network
    return _rebuilt(network, replace(network.config, fusion=widths))


def _rebuilt(network: GeometryNetwork, config: GeometryConfig) -> GeometryNetwork:
    """A network of ``config`` with all the weights that ``network`` has; the others as they begin."""
    config.validate()
    wider = GeometryNetwork(config)
    given = network.state_dict()
    wider.load_state_dict({name: given.get(name, value) for name, value in wider.state_dict().items()})
    return wider
