"""The add-on in real Blender with the real backend, from the example picture to rigged objects.

Needs the backend's Python beside this one (``make test`` makes both) or in PAMIR_BACKEND_PYTHON.
"""

import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from real_backend import ROOT, backend_python, use_real_backend


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


def test_the_zip_installed_into_empty_user_folders_makes_a_character(tmp_path):
    """The real zip through Blender's own extension operators; the worker runs out of the installed copy."""
    sys.path.insert(0, str(ROOT))
    import build_addon

    archive = build_addon.build(tmp_path / "dist", sys.executable)
    assert archive.stat().st_size < 60e6
    bpy.ops.extensions.package_install_files(
        filepath=str(archive), repo="user_default", enable_on_install=True
    )
    module = "bl_ext.user_default.pamir_blender"
    try:
        preferences = bpy.context.preferences.addons[module].preferences
        preferences.worker_python = backend_python()
        preferences.results_folder = str(tmp_path / "results")
        assert bpy.ops.pamir.check_backend() == {"FINISHED"}
        found = sys.modules[f"{module}.addon.findings"].latest()
        assert found and all(finding.good for finding in found), found
        settings = bpy.context.scene.pamir
        settings.photo_path, settings.resolution = str(ROOT / "examples" / "person.png"), "128"
        assert bpy.ops.pamir.reconstruct() == {"FINISHED"}
        assert _find("clothed").find_armature() == _find("armature")
        package = Path(sys.modules[module].__file__).parent
        log = max((Path(bpy.utils.extension_path_user(module)) / "logs").iterdir())
        assert package != ROOT / "pamir_blender" and log.is_file()
    finally:
        bpy.ops.preferences.addon_disable(module=module)
        index = [r.module for r in bpy.context.preferences.extensions.repos].index("user_default")
        bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="pamir_blender")
    assert not package.exists()
