"""Orthographic pictures of textured subjects under random soft light (moderngl on EGL, no window needed)."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import TracebackType

import moderngl
import numpy as np

from ..camera import CROP_SIZE

_VERTEX = """
#version 330
uniform mat3 rotation; uniform float scale; uniform vec3 translation;
in vec3 position; in vec3 normal; in vec2 uv;
out vec3 view_normal; out vec2 texel;
void main() {
    vec3 p = scale * (rotation * position) + translation;
    view_normal = rotation * normal;
    texel = uv;
    gl_Position = vec4(2.0 * p.x, 2.0 * p.y, -p.z, 1.0);
}
"""
_FRAGMENT = """
#version 330
uniform sampler2D albedo; uniform vec3 light[9];
in vec3 view_normal; in vec2 texel;
layout(location = 0) out vec4 color;
void main() {
    vec3 n = normalize(view_normal);
    if (n.z < 0.0 && !gl_FrontFacing) n = -n;
    vec3 shade = light[0] + light[1] * n.y + light[2] * n.z + light[3] * n.x + light[4] * (n.x * n.y)
        + light[5] * (n.y * n.z) + light[6] * (3.0 * n.z * n.z - 1.0) + light[7] * (n.x * n.z)
        + light[8] * (n.x * n.x - n.y * n.y);
    color = vec4(clamp(texture(albedo, texel).rgb * shade, 0.0, 1.0), 1.0);
}
"""


@dataclass(frozen=True)
class View:
    """How a subject is seen: ``box = scale * rotation @ subject + translation`` (camera.py's box frame).

    ``rotation`` (3, 3); ``scale`` box units per metre; ``translation`` (3,); ``light`` (9, 3) order-2
    spherical-harmonic irradiance, linear RGB gains in the order of :func:`sh_basis`.
    """

    rotation: np.ndarray
    scale: float
    translation: np.ndarray
    light: np.ndarray

    def to_box(self, points: np.ndarray) -> np.ndarray:
        """Subject metres (..., 3) to box (..., 3)."""
        return np.asarray(points) @ self.rotation.T * self.scale + self.translation


def sh_basis(normals: np.ndarray) -> np.ndarray:
    """Order-2 real spherical harmonics without their constants, (N, 3) view-frame normals to (N, 9)."""
    x, y, z = np.asarray(normals).T
    one = np.ones_like(x)
    return np.stack([one, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], axis=-1)


def random_light(rng: np.random.Generator) -> np.ndarray:
    """(9, 3) gains of a soft light: an ambient part, one or two broad lamps, a slight tint."""
    brightness = rng.uniform(0.75, 1.1)
    light = np.zeros(9)
    light[0] = brightness
    for strength in (rng.uniform(0.1, 0.5), rng.uniform(0.0, 0.25)):
        # Lamps come mostly from above and from the viewer's side.
        direction = rng.normal([0, 0.5, 0.4], [0.7, 0.5, 0.7])
        direction /= np.linalg.norm(direction)
        basis = sh_basis(direction[None])[0]
        # Clamped-cosine lobe: 1/4, 1/2 cos, 5/16 of the second-order terms (Ramamoorthi and Hanrahan 2001).
        lobe = np.array([0.25, 0.5, 0.5, 0.5, 0.9375, 0.9375, 0.078125, 0.9375, 0.234375])
        light += strength * brightness * (lobe * basis - 0.25 * (np.arange(9) == 0))
    tint = 1 + rng.normal(0, 0.04, 3)
    return (light[:, None] * tint).astype(np.float32)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Area-weighted unit normals (V, 3). ``groups`` (V,) joins vertices that share a position (uv seams)."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    index = faces if groups is None else groups[faces]
    count = len(vertices) if groups is None else int(groups.max()) + 1
    total = np.stack(
        [sum(np.bincount(index[:, k], normals[:, axis], count) for k in range(3)) for axis in range(3)],
        axis=1,
    )
    if groups is not None:
        total = total[groups]
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def seam_groups(vertices: np.ndarray) -> np.ndarray:
    """(V,) group numbers: vertices at the same rest position (uv seams) share one."""
    keys = np.round(np.asarray(vertices, dtype=np.float64) * 1e5).astype(np.int64)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


class Renderer:
    """Draws 512 x 512 RGBA pictures; use it as a context manager and only one per process."""

    def __init__(self, size: int = CROP_SIZE, samples: int = 4) -> None:
        self.size = size
        # A CUDA build of torch imports triton at its first optimiser. Triton and Mesa's software renderer
        # each bring an LLVM, and the process crashes unless triton's is loaded first.
        if importlib.util.find_spec("triton"):
            importlib.import_module("triton")
        self.context = moderngl.create_context(standalone=True, backend="egl")
        self._program = self.context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        shape = (size, size)
        self._multi = self.context.framebuffer(
            [self.context.renderbuffer(shape, 4, samples=samples)],
            self.context.depth_renderbuffer(shape, samples=samples),
        )
        self._single = self.context.framebuffer([self.context.texture(shape, 4)])
        self._texture: moderngl.Texture | None = None
        self._array: moderngl.VertexArray | None = None
        self._buffers: list[moderngl.Buffer] = []

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.context.release()

    def load(self, vertices: np.ndarray, normals: np.ndarray, uv: np.ndarray, faces: np.ndarray) -> None:
        """Take the posed mesh: vertices (V, 3), normals (V, 3), uv (V, 2) v down, faces (F, 3)."""
        for buffer in self._buffers:
            buffer.release()
        if self._array is not None:
            self._array.release()
        interleaved = np.concatenate([vertices, normals, uv], axis=1).astype("f4")
        vertex_buffer = self.context.buffer(interleaved.tobytes())
        index_buffer = self.context.buffer(np.asarray(faces, dtype="i4").tobytes())
        self._buffers = [vertex_buffer, index_buffer]
        self._array = self.context.vertex_array(
            self._program, [(vertex_buffer, "3f 3f 2f", "position", "normal", "uv")], index_buffer
        )

    def load_texture(self, texture: np.ndarray) -> None:
        """Take the colour texture (H, W, 3) uint8, row 0 = v 0."""
        if self._texture is not None:
            self._texture.release()
        height, width = texture.shape[:2]
        data = np.ascontiguousarray(texture).tobytes()
        self._texture = self.context.texture((width, height), 3, data, alignment=1)
        self._texture.build_mipmaps()
        self._texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        self._texture.repeat_x = self._texture.repeat_y = False

    def draw(self, view: View) -> np.ndarray:
        """(size, size, 4) uint8, straight alpha (colour un-premultiplied at the silhouette), row 0 on top."""
        self._multi.use()
        self._multi.clear(0, 0, 0, 0, depth=1.0)
        self.context.enable_only(moderngl.DEPTH_TEST)
        self._program["rotation"].write(np.asarray(view.rotation, "f4").T.tobytes())
        self._program["scale"].value = float(view.scale)
        self._program["translation"].value = tuple(float(c) for c in view.translation)
        self._program["light"].write(np.asarray(view.light, "f4").tobytes())
        self._texture.use(0)
        self._array.render()
        self.context.copy_framebuffer(self._single, self._multi)
        data = self._single.read(components=4, alignment=1)
        image = np.frombuffer(data, np.uint8).reshape(self.size, self.size, 4)[::-1]
        alpha = image[..., 3:].astype(np.float32) / 255
        straight = np.where(alpha > 0, image[..., :3] / np.maximum(alpha, 1 / 255), 0)
        return np.concatenate([np.clip(straight + 0.5, 0, 255).astype(np.uint8), image[..., 3:]], axis=2)
