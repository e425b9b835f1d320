"""The two network files that find people, and how to know them.

Standard library only: the fetching script reads this before anything is installed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..paths import models_dir

MODELS_FOLDER = models_dir()
FETCH_COMMAND = "python models/fetch_landmark_models.py"
PACKAGE = "mediapipe==0.10.21"


@dataclass(frozen=True)
class ModelFile:
    """One pinned file: its ``name`` on disk, ``member`` path in the wheel, ``size`` bytes and ``sha256``."""

    name: str
    member: str
    size: int
    sha256: str

    def matches(self, data: bytes) -> bool:
        """Whether ``data`` is exactly this file."""
        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256


POSE_DETECTION = ModelFile(
    "pose_detection.tflite",
    "mediapipe/modules/pose_detection/pose_detection.tflite",
    2_959_046,
    "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
POSE_LANDMARK = ModelFile(
    "pose_landmark_full.tflite",
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    6_440_512,
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)
MODEL_FILES = (POSE_DETECTION, POSE_LANDMARK)
