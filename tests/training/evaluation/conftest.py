"""A small data set of a synthetic subject, and files that hold meshes."""

import shutil

import numpy as np
import pytest

from pamir_blender.body.load import OPEN_BODY
from pamir_blender.training.make_data import body_digest
from pamir_blender.training.poses import sample_pose
from pamir_blender.training.samples import SampleOptions, random_view, write_points, write_view
from pamir_blender.training.sampling import Sight
from pamir_blender.training.storage import write_arrays, write_json
from pamir_blender.training.subjects import pose_subject
from pamir_blender.training.subset_body import SubsetBody

OPTIONS = SampleOptions(yaws=2, estimates=2, surface=400, fine=100, near=100, tight=100, uniform=100)


@pytest.fixture(scope="session")
def posed(subject, registered, body, body_model):
    pose = sample_pose(np.random.default_rng(8), subject.joints, "stand")
    return pose_subject(subject, registered, pose, body, SubsetBody(body_model, np.arange(0, 6890, 7)))


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory, posed, body, body_model):
    """A data set as make_data writes it, of one posed subject and two views, with its mesh."""
    from pamir_blender.training.rendering import Renderer

    out = tmp_path_factory.mktemp("data")
    for name in ("subjects", "views", "meshes"):
        (out / name).mkdir()
    shutil.copy(OPEN_BODY, out / "body.npz")
    rng = np.random.default_rng(0)
    # What write_points returns besides the samples differs between versions of the data; only they are used.
    surface = write_points(out / "subjects" / "test.npz", posed, rng, OPTIONS)[0]
    write_arrays(out / "meshes" / "test.npz", {"vertices": posed.vertices, "faces": posed.subject.faces})
    sight = Sight(posed.vertices, posed.subject.faces)
    try:
        renderer = Renderer()
    except Exception as error:  # no EGL driver on this machine
        pytest.skip(f"no off-screen OpenGL here: {error}")
    views = []
    with renderer:
        renderer.load(posed.vertices, posed.normals, posed.subject.uv, posed.subject.faces)
        renderer.load_texture(posed.subject.texture)
        for number in range(2):
            view, angles = random_view(rng, posed, number, 2)
            visible = sight.visible(surface.points, surface.normals, view.rotation[2])
            stem = out / "views" / f"test_{number}"
            written = write_view(stem, posed, view, visible, renderer, body, body_model.faces, rng, OPTIONS)
            views.append({"name": stem.name, "subject": "test", "identity": "nobody", **angles, **written})
    index = {"version": 1, "split": "val", "body_digest": body_digest(body_model), "views": views}
    write_json(out / "data.json", index)
    return out
