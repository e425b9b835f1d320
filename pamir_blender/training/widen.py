"""Trained networks get parts that they were trained without, and compute the same until these are trained."""

from __future__ import annotations

from dataclasses import replace

from ..pamir.geometry import GeometryNetwork


def with_context(network: GeometryNetwork, widths: tuple[int, ...]) -> GeometryNetwork:
    """``network`` with the coarser levels ``widths`` in its volume encoder; itself if it has some already."""
    if network.config.volume.context or not widths:
        return network
    volume = replace(network.config.volume, context=widths)
    wider = GeometryNetwork(replace(network.config, volume=volume))
    own = wider.state_dict()
    given = network.state_dict()
    wider.load_state_dict({name: given.get(name, value) for name, value in own.items()})
    return wider
