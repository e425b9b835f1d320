"""What finds the body in a photo, by the options' choice; networks are loaded once."""

from __future__ import annotations

from pathlib import Path

import torch

from ..body.estimator import BodyEstimator, LandmarkEstimator
from ..body.graphcmr import GraphCmrEstimator
from ..options import ReconstructOptions
from ..pamir.weights import find_weights, load_graphcmr, weights_digest


class Estimators:
    """``landmarks`` is used where the options ask for landmarks; networks run on ``device``."""

    def __init__(self, landmarks: BodyEstimator | None, device: torch.device) -> None:
        self.landmarks = landmarks or LandmarkEstimator()
        self._device = device
        self._known: dict[tuple[str, str, str | None], tuple[BodyEstimator, str]] = {}

    def find(self, options: ReconstructOptions) -> BodyEstimator:
        """The estimator; raises WeightsError where GraphCMR is wanted and has no weights."""
        if options.estimator == "landmarks":
            return self.landmarks
        return self._load(options)[0]

    def digests(self, options: ReconstructOptions) -> dict[str, str]:
        """The SHA-256 of the networks that took part in the last estimate, by kind."""
        used = self.find(options)
        depth = used.depth_digest if isinstance(used, LandmarkEstimator) else None
        found = {} if depth is None else {"landmark_depth": depth}
        return found if options.estimator == "landmarks" else {"graphcmr": self._load(options)[1], **found}

    def _load(self, options: ReconstructOptions) -> tuple[BodyEstimator, str]:
        """Estimator and digest: what is loaded stays, whatever becomes of the file."""
        key = options.estimator, options.size, options.weights
        if key not in self._known:
            path = find_weights("graphcmr", options.size, Path(options.weights) if options.weights else None)
            graphcmr = GraphCmrEstimator(load_graphcmr(path), device=self._device)
            estimator = graphcmr if options.estimator == "graphcmr" else LandmarkEstimator(prior=graphcmr)
            self._known[key] = estimator, weights_digest(path)
        return self._known[key]
