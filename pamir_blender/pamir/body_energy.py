"""The energy of body reference optimisation: how a body lies in its own surface (PaMIR section 4.3).

Equation 10: L_B is the mean over body vertices v of ``q(F(v) - 0.5)``. The naked body fits under the clothes,
so a vertex outside the surface (F below 0.5) costs :data:`ETA` times as much as one as far inside. Equation
11 is printed with the weights the other way round; the paper's text, followed here, penalises the outside.

F is conditioned on the body itself. So the volume V_O is made anew for every body that is asked about: with a
volume that stays behind, the surface stays behind as well, and a body that merely follows it drifts away from
the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..contracts import PosedBody
from .field_features import query_with_slope
from .networks import FieldNetworks, ImageMaps, body_volume

ETA = 5.0
"""How much more a vertex outside the surface costs than one inside (eq. 11)."""

ROUNDING = 0.02
"""Half-width, in occupancy, of the rounded corner of q at the surface: its slope has no jump there."""


def penalty(level: np.ndarray, eta: float = ETA) -> np.ndarray:
    """q of eq. 11 at levels F - 0.5 (N,): their size, ``eta`` times as dear where negative, i.e. outside."""
    level = np.asarray(level, np.float64)
    return np.where(level < 0, eta, 1.0) * (np.sqrt(level**2 + ROUNDING**2) - ROUNDING)


def penalty_slope(level: np.ndarray, eta: float = ETA) -> np.ndarray:
    """The derivative of :func:`penalty` by the level, (N,)."""
    level = np.asarray(level, np.float64)
    return np.where(level < 0, eta, 1.0) * level / np.sqrt(level**2 + ROUNDING**2)


@dataclass(frozen=True)
class BodyEnergy:
    """L_B (eq. 10) of bodies in one photo's field.

    ``maps`` the photo's image features, which no body changes; ``chosen`` (M,) the vertices that are asked.
    """

    networks: FieldNetworks
    maps: ImageMaps
    chosen: np.ndarray

    def __call__(self, posed: PosedBody) -> tuple[float, np.ndarray]:
        """L_B and its derivative (M, 3) by the chosen vertices, box frame.

        The derivative is that of eq. 10 with the feature volume held where it is.
        """
        geometry = self.networks.geometry
        volume = body_volume(posed, geometry.config.volume, self.networks.device)
        features = geometry.prepare(None, volume, image_map=self.maps.geometry)
        occupancy, slope = query_with_slope(features, torch.from_numpy(posed.vertices[self.chosen]))
        level = occupancy.double().numpy() - 0.5
        gradient = penalty_slope(level)[:, None] * slope.double().numpy() / len(level)
        return float(penalty(level).mean()), gradient
