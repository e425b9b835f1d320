"""Models are found beside the package in a source tree, and inside it in an installed extension."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from pamir_blender import paths

FIND = """
import json
from pamir_blender.body.landmarks import LANDMARK_FILE
from pamir_blender.body.load import OPEN_BODY
from pamir_blender.pamir.weights import find_weights
from pamir_blender.photo.model_files import MODELS_FOLDER
files = LANDMARK_FILE, OPEN_BODY, find_weights("geometry", "lite"), MODELS_FOLDER
print(json.dumps([str(path) for path in files]))
"""


def test_source_tree():
    assert paths.models_dir() == Path(__file__).resolve().parents[1] / "models"
    assert (paths.models_dir() / "open_body.npz").is_file()


def test_installed_extension(tmp_path):
    package = tmp_path / "pamir_blender"
    shutil.copytree(paths.PACKAGE, package, ignore=shutil.ignore_patterns("training", "__pycache__"))
    (package / "models").mkdir()
    (package / "models" / "lite_geometry.safetensors").touch()
    found = subprocess.run(
        [sys.executable, "-c", FIND], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert {Path(path) for path in json.loads(found)} == {
        package / "models",
        package / "models" / "landmark_regressor.npz",
        package / "models" / "open_body.npz",
        package / "models" / "lite_geometry.safetensors",
    }
