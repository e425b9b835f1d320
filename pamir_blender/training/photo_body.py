"""What an artist would get from a picture: the photo front end, then the landmark fit."""

from __future__ import annotations

from pathlib import Path

from ..body.estimator import LandmarkEstimator
from ..body.model import BodyModel
from ..body.posed import pose_body
from ..contracts import Photo, PosedBody
from ..photo.frontend import prepare_photo


class PhotoBodies:
    """Finds the person and the body in pictures; the models are loaded once."""

    def __init__(self, model: BodyModel) -> None:
        self._model = model
        self._estimator = LandmarkEstimator()

    def find(self, picture: Path) -> tuple[Photo, PosedBody]:
        """Photo and body; raises the front end's errors for pictures that it refuses."""
        photo = prepare_photo(picture)
        return photo, pose_body(self._model, self._estimator.estimate(photo, self._model))
