"""The last condition of the table: a body that first moves to agree with the field it conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from ...body.model import BodyModel
from ...body.posed import pose_body
from ...errors import BackendError
from .case import BodyShape, Case
from .contender import Contender

_MODULE = "...pamir.body_optimisation"


def find_optimiser() -> Callable[..., Any] | None:
    """``optimise_body`` of :mod:`pamir_blender.pamir.body_optimisation`; None in a version without it."""
    try:
        return import_module(_MODULE, __package__).optimise_body
    except ModuleNotFoundError as error:
        if error.name != "pamir_blender.pamir.body_optimisation":
            raise
        return None


def optimise_case(case: Case, contender: Contender, model: BodyModel) -> tuple[Case, dict[str, Any]]:
    """``case`` conditioned on its optimised body (PaMIR section 4.3), and what the optimiser says.

    ``kept`` and ``reason`` of that are the optimiser's own. Landmarks and mask take part only where the front
    end found landmarks: the pictures of a data set are given without. Raises AssetsError for a body without
    parameters, and the optimiser's errors.
    """
    optimiser = find_optimiser()
    if optimiser is None:
        raise BackendError("This version has no body reference optimisation.")
    body = case.body.known_parameters()
    seen = bool(np.any(case.photo.landmarks.visibility > 0))
    features = contender.encode(case.photo, case.body)
    found = optimiser(contender.networks, features, model, body, photo=case.photo if seen else None)
    posed = pose_body(model, found.body)
    shape = BodyShape(posed.vertices, posed.faces, posed.template, found.body)
    return replace(case, body=shape), {"kept": bool(found.kept), "reason": str(found.reason)}
