"""An exact body as numbers, to and from the arrays that the stages work with."""

from __future__ import annotations

import numpy as np

from ..body_state import BodyState
from ..camera import CharacterFrame, Placement
from ..contracts import Body, PosedBody


def body_of(state: BodyState, model: str) -> Body:
    """The body of ``state``, for the body model of that name."""
    return Body(
        betas=np.array(state.betas, np.float32),
        pose=np.array(state.pose, np.float32),
        placement=Placement(state.scale, state.translation),
        model=model,
    )


def frame_of(state: BodyState) -> CharacterFrame:
    """The frame that a result for ``state`` is given in."""
    return CharacterFrame(state.frame_scale, state.frame_origin)


def state_of(posed: PosedBody) -> BodyState:
    """The state of a posed body; the inverse of :func:`body_of` and :func:`frame_of` to the last bit."""
    body, frame = posed.body, posed.frame
    return BodyState.from_arrays(
        body.pose,
        body.betas,
        scale=body.placement.scale,
        translation=body.placement.translation,
        frame_scale=frame.scale,
        frame_origin=frame.origin,
    )
