"""From a photo to a character, in the order in which it happens.

:class:`Backend` keeps the models warm between jobs, and has one method a job: reconstruct, regenerate,
suggest. It needs torch and never Blender.
"""

from __future__ import annotations

from ..check import check_backend
from ..options import PhotoOptions, ReconstructOptions, RegenerateOptions, SuggestOptions
from .backend import Backend
from .job import STAGES

__all__ = [
    "STAGES",
    "Backend",
    "PhotoOptions",
    "ReconstructOptions",
    "RegenerateOptions",
    "SuggestOptions",
    "check_backend",
]
