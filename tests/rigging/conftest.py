"""What the rigging tests share."""

import numpy as np
import pytest
from capsule_figure import make_figure


@pytest.fixture(scope="session")
def figure():
    """Arms down, close to the torso, one knee bent."""
    angles = np.zeros((24, 3))
    angles[16], angles[17] = [0, 0, -1.22], [0, 0, 1.05]
    angles[4] = [0.6, 0, 0]
    angles[0] = [0, 0.3, 0]
    return make_figure(angles)
