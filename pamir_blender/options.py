"""What the pipeline's jobs can be told. Needs neither torch nor Blender."""

from __future__ import annotations

from dataclasses import dataclass, field

from .body_state import BodyState
from .contracts import JOINT_NAMES
from .errors import RequestError

RESOLUTIONS = (64, 96, 128, 192, 256, 384, 512)
SIZES = ("lite", "paper")
ESTIMATORS = ("landmarks", "graphcmr", "both")
TEXTURE_SIZES = (256, 512, 1024, 2048, 4096)
MOST_ITERATIONS = 500
MOST_SUGGESTIONS = 6


@dataclass(frozen=True)
class PhotoOptions:
    """Which photo, and how finely.

    ``mask`` an image of the person's silhouette; ``person`` the N-th most prominent person, from 1;
    ``box`` (x0, y0, x1, y1) photo pixels; ``resolution`` cells along the unit box; ``size`` of the
    networks; ``body_model`` a licensed SMPL file, or the open body; ``weights`` a folder of weights;
    ``texture`` False leaves the mesh grey; ``texture_size`` pixels a side;
    ``faces`` of the rigged mesh at most.
    """

    photo: str
    mask: str | None = None
    person: int | None = None
    box: tuple[float, float, float, float] | None = None
    resolution: int = 256
    size: str = "lite"
    body_model: str | None = None
    weights: str | None = None
    seed: int = 0
    texture: bool = True
    texture_size: int = 2048
    faces: int = 60_000

    def __post_init__(self) -> None:
        """Refuse what no stage could carry out (:class:`RequestError`)."""
        for name, allowed in (
            ("resolution", RESOLUTIONS),
            ("size", SIZES),
            ("texture_size", TEXTURE_SIZES),
        ):
            if getattr(self, name) not in allowed:
                choices = ", ".join(map(str, allowed))
                raise RequestError(f"{name} must be one of {choices}, not {getattr(self, name)!r}")
        if self.person is not None and self.person < 1:
            raise RequestError(f"persons are counted from 1, so {self.person} is nobody")
        if not 2_000 <= self.faces <= 2_000_000:
            raise RequestError(f"faces must be between 2,000 and 2,000,000, not {self.faces}")


@dataclass(frozen=True)
class ReconstructOptions(PhotoOptions):
    """A first reconstruction.

    ``optimise`` iterations of body reference optimisation, 0 for none; ``estimator`` finds the body: from
    the detector's landmarks, by GraphCMR, or from the landmarks with GraphCMR's depth beside them.
    """

    optimise: int = 50
    estimator: str = "landmarks"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_iterations(self.optimise)
        if self.estimator not in ESTIMATORS:
            raise RequestError(f"estimator must be one of {', '.join(ESTIMATORS)}, not {self.estimator!r}")


@dataclass(frozen=True)
class RegenerateOptions(PhotoOptions):
    """The same photo with a given body.

    ``body`` is taken as it is; with ``optimise`` iterations its betas and the joints that are not ``edited``
    are improved first. ``preview``: geometry alone, fast.
    """

    body: BodyState = field(kw_only=True)
    edited: tuple[str, ...] = ()
    optimise: int = 0
    preview: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_iterations(self.optimise)
        _check_joints(self.edited)


@dataclass(frozen=True)
class SuggestOptions(PhotoOptions):
    """The ``count`` most plausible depth flips of a given body's limbs that hold no ``edited`` joint."""

    body: BodyState = field(kw_only=True)
    edited: tuple[str, ...] = ()
    count: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_joints(self.edited)
        if not 1 <= self.count <= MOST_SUGGESTIONS:
            raise RequestError(f"count must be between 1 and {MOST_SUGGESTIONS}, not {self.count}")


def _check_iterations(count: int) -> None:
    if not 0 <= count <= MOST_ITERATIONS:
        raise RequestError(f"optimise must be between 0 and {MOST_ITERATIONS} iterations, not {count}")


def _check_joints(names: tuple[str, ...]) -> None:
    for name in names:
        if name not in JOINT_NAMES:
            raise RequestError(f"edited names no joint of the body: {name!r}")
