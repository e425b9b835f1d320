"""The last condition of the table: a body that first moves to agree with the field it conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...body.model import BodyModel
from ...body.posed import pose_body
from ...pamir.body_optimisation import optimise_body
from .case import BodyShape, Case
from .contender import Contender


def optimise_case(case: Case, contender: Contender, model: BodyModel) -> tuple[Case, dict[str, Any]]:
    """``case`` conditioned on its optimised body (PaMIR section 4.3), and what the optimiser says.

    ``kept`` False: the first body stayed; ``reason`` says why. The picture's mask takes part, and landmarks
    where the front end found some: the pictures of a data set are given without. Raises AssetsError for a
    body without parameters.
    """
    body = case.body.known_parameters()
    features = contender.encode(case.photo, case.body)
    found = optimise_body(contender.networks, features, model, body, photo=case.photo)
    posed = pose_body(model, found.body)
    shape = BodyShape.of(posed)
    return replace(case, body=shape), {"kept": found.kept, "reason": found.reason}
