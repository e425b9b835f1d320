"""A clothed subject made of the open body itself, so that the data tests need no assets."""

import json

import numpy as np
import pytest
import torch
from tiny_avatar import NAMES, write_glb

from pamir_blender.body.load import load_body_model
from pamir_blender.training import make_data
from pamir_blender.training.avatars import ClothedSubject
from pamir_blender.training.registration import RegisteredBody
from pamir_blender.training.rendering import vertex_normals
from pamir_blender.training.subset_body import SubsetBody

CLOTH = 0.012
"""Metres between skin and cloth of the test subject's trunk and legs."""
LIFT = np.array([0, 0.96, 0], np.float32)
"""Metres that put the body's feet on the floor."""


@pytest.fixture(scope="session")
def body_model():
    return load_body_model()


@pytest.fixture(scope="session")
def body(body_model):
    return SubsetBody(body_model)


@pytest.fixture(scope="session")
def betas():
    return np.array([0.8, -0.6, 0.4, 0, 0.3, 0, 0, -0.3, 0, 0.2], np.float32)


@pytest.fixture(scope="session")
def subject(body_model, body, betas):
    """The open body of shape ``betas``, thickened by cloth but for head, hands and feet."""
    with torch.no_grad():
        vertices, joints = body(torch.tensor(betas)[None], torch.eye(3).expand(1, 24, 3, 3))
    vertices, joints = vertices[0].numpy() + LIFT, joints[0].numpy() + LIFT
    faces = body_model.faces.numpy().astype(np.int32)
    weights = body_model.skinning_weights.numpy()
    bare = weights[:, [7, 8, 10, 11, 12, 15, 20, 21, 22, 23]].sum(axis=1, keepdims=True)
    clothed = vertices + vertex_normals(vertices, faces) * CLOTH * (1 - np.clip(bare, 0, 1))
    uv = np.clip((clothed[:, :2] - [-1, 0]) / [2, 1.9], 0, 1)
    rows, columns = np.mgrid[0:64, 0:64]
    texture = np.stack([rows * 3, columns * 3, np.full((64, 64), 120)], axis=-1).astype(np.uint8)
    return ClothedSubject(
        name="test",
        vertices=clothed.astype(np.float32),
        faces=faces,
        uv=uv.astype(np.float32),
        texture=texture,
        joints=joints.astype(np.float32),
        weights=weights,
        part=np.zeros(len(clothed), np.uint8),
    )


@pytest.fixture(scope="session")
def registered(body_model, body, betas):
    """The exact registration of ``subject``."""
    with torch.no_grad():
        vertices, _ = body(torch.tensor(betas)[None], torch.eye(3).expand(1, 24, 3, 3))
    return RegisteredBody(
        betas=betas,
        rotations=np.tile(np.eye(3), (24, 1, 1)),
        scale=1.0,
        translation=LIFT,
        vertices=(vertices[0].numpy() + LIFT).astype(np.float32),
        carriers=body_model.skinning_weights.numpy(),
        residual={},
    )


@pytest.fixture(scope="session")
def assets(tmp_path_factory, subject):
    """An asset folder with one avatar to train on and one to measure."""
    folder = tmp_path_factory.mktemp("assets")
    (folder / "valid").mkdir()
    entries = []
    for split in ("train", "val"):
        write_glb(folder / "valid" / f"{split}_person.glb", subject)
        name = f"{split}_person"
        entries.append(
            {"name": name, "identity": name, "outfit": "plain", "split": split, "file": f"{name}.glb"}
        )
    manifest = {"smpl24": {name: name for name in NAMES}, "avatars": entries}
    (folder / "valid" / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def data(assets, tmp_path_factory):
    """The data command's output: two views to train on, two to measure."""
    from pamir_blender.training.rendering import Renderer

    try:
        with Renderer():
            pass
    except Exception as error:  # no EGL driver on this machine
        pytest.skip(f"no off-screen OpenGL here: {error}")
    out = tmp_path_factory.mktemp("made")
    words = ["--assets", str(assets), "--out", str(out), "--poses", "1", "--yaws", "2", "--workers", "1"]
    assert make_data.main([*words, "--garments", "1"]) == 0
    return out
