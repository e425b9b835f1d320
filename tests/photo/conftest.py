"""Fixtures: painted people instead of photos."""

from __future__ import annotations

import pytest
from painted_people import Painter, backdrop


@pytest.fixture(scope="session")
def painter() -> Painter:
    return Painter()


@pytest.fixture(scope="session")
def standing(painter):
    """A picture (600, 480, 3) of one standing person, its true mask, and its joints (24, 2) in pixels."""
    image = backdrop(600, 480)
    vertices, joints = painter.posed()
    hips, scale = (235.0, 270.0), 260.0
    mask = painter.paint(image, vertices, hips, scale)
    return image, mask, joints[:, :2] * [scale, -scale] + hips
