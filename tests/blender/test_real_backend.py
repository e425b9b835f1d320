"""The add-on in real Blender with the real backend, from the example picture to rigged objects.

Needs the backend's Python beside this one (``make test`` makes both) or in PAMIR_BACKEND_PYTHON.
"""

import bpy
import numpy as np
import pytest
from real_backend import ROOT, use_real_backend


@pytest.fixture
def real_backend(addon):
    use_real_backend()
    return addon


def _find(role):
    return next(thing for thing in bpy.data.objects if thing.get("pamir_role") == role)


def _posed(thing):
    mesh = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    world = np.array(thing.matrix_world)
    return points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def test_a_photo_becomes_a_character(real_backend):
    settings = bpy.context.scene.pamir
    settings.photo_path = str(ROOT / "examples" / "person.png")
    settings.resolution = "128"
    assert bpy.ops.pamir.reconstruct() == {"FINISHED"}

    armature, body, clothed, camera = map(_find, ("armature", "body", "clothed", "camera"))
    assert len(armature.data.bones) == 24
    assert body.find_armature() == clothed.find_armature() == armature
    body.hide_set(False)  # Blender does not evaluate what is hidden
    skin, surface = _posed(body), _posed(clothed)
    # Standing on the floor, of human height, the clothes around the body.
    assert abs(skin[:, 2].min()) < 0.02
    assert 1.3 < np.ptp(surface[:, 2]) < 2.3
    assert np.abs((surface.max(0) + surface.min(0)) - (skin.max(0) + skin.min(0))).max() < 0.4
    image = next(n.image for n in clothed.active_material.node_tree.nodes if n.type == "TEX_IMAGE")
    assert image.size[0] >= 256
    assert camera.data.type == "ORTHO"
    assert camera.data.background_images[0].image is not None
