"""The example photo: ``python -m pamir_blender.training.example_picture --out examples/person.png``.

The open body in procedural clothes and hair, in a natural standing pose, traced in soft studio light. All
that is in it is the project's own, so the picture is free of anyone's rights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from .example_person import person
from .raytrace import Hits, Studio, Tracer, backdrop

WIDTH, HEIGHT = 900, 1200


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pamir_blender.training.example_picture", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=Path("examples/person.png"))
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--supersample", type=int, default=2, help="rays per pixel side")
    parser.add_argument("--rays", type=int, default=14, help="light rays per hit")
    options = parser.parse_args(arguments)
    picture = render(np.random.default_rng(options.seed), options.supersample, options.rays)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(options.out), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f"{options.out} could not be written")
    return 0


def render(
    rng: np.random.Generator, supersample: int, rays: int, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> np.ndarray:
    """The picture, (height, width, 3) uint8 sRGB."""
    tracer, studio = Tracer(person(rng)), Studio()
    width, height = size[0] * supersample, size[1] * supersample
    origins, directions = _camera(width, height)
    hits = tracer.trace(origins, directions)
    image = np.zeros((height * width, 3), np.float32)
    chosen = np.flatnonzero(hits.hit)
    seen = Hits(*(getattr(hits, name)[chosen] for name in ("hit", "position", "normal", "color", "gloss")))
    image[chosen] = tracer.shade(rng, studio, seen, directions[chosen], rays)
    # The backdrop is smooth: shade it coarsely, blur its noise, enlarge.
    coarse = (max(width // 6, 1), max(height // 6, 1))
    far_origins, far_directions = _camera(*coarse)
    behind = tracer.shade(
        rng, studio, backdrop(studio, far_origins, far_directions), far_directions, rays * 4
    )
    behind = gaussian_filter(behind.reshape(coarse[1], coarse[0], 3), (1.2, 1.2, 0))
    behind = cv2.resize(behind.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    image = image.reshape(height, width, 3)
    mask = hits.hit.reshape(height, width, 1)
    linear = np.where(mask, image, behind)
    linear = cv2.resize(linear, size, interpolation=cv2.INTER_AREA)
    return _develop(rng, linear)


def _develop(rng: np.random.Generator, linear: np.ndarray) -> np.ndarray:
    """Lens and sensor: a trace of blur, vignette and grain, and the sRGB curve."""
    height, width = linear.shape[:2]
    linear = gaussian_filter(linear, (0.45, 0.45, 0))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    linear = linear * (1 - 0.10 * (x**2 + y**2))[..., None]
    exposed = np.clip(linear * 1.12, 0, None)
    exposed = exposed / (1 + 0.12 * exposed**2)
    coded = np.where(
        exposed <= 0.0031308, 12.92 * exposed, 1.055 * np.maximum(exposed, 1e-9) ** (1 / 2.4) - 0.055
    )
    grain = gaussian_filter(rng.normal(0, 0.0016, (height, width, 1)), (0.6, 0.6, 0))
    return (np.clip(coded + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def _camera(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Rays of a camera 4.6 m in front of the person at chest height, portrait format."""
    distance, eye, target = 4.6, 1.12, 0.90
    origin = np.array([0.02, eye, distance])
    ahead = np.array([0.02, target, 0.0]) - origin
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 1.0, 0])
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    half = 1.09 / distance  # half the picture's height at the person, metres, over the distance
    x = (np.arange(width) + 0.5) / width * 2 - 1
    y = 1 - (np.arange(height) + 0.5) / height * 2
    u, v = np.meshgrid(x * half * width / height, y * half)
    directions = ahead + u[..., None] * right + v[..., None] * up
    directions = directions.reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.broadcast_to(origin, directions.shape).astype(np.float32), directions.astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
