"""The real pipeline in adverse places: photos that go, full disks, folders it may not write, odd names."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import private_mount
import pytest
from PIL import Image
from private_mount import needs_mounts

from pamir_blender.errors import PhotoError, ResultError, WeightsError
from pamir_blender.paths import PACKAGE, models_dir
from pamir_blender.pipeline import Backend, ReconstructOptions

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "person.png"
QUICK = {"resolution": 64, "texture_size": 256, "faces": 4_000}
FILES = {"result.json", "scene.npz", "texture.png", "clothed.glb", "clothed.ply", "body.obj", "preview.png"}
COMMAND = ["reconstruct", str(EXAMPLE), "--resolution", "64", "--device", "cpu"]


@pytest.fixture(scope="module")
def backend():
    return Backend("cpu")


def whole(folder):
    return {path.name for path in folder.iterdir()}.issuperset(FILES)


def test_a_photo_deleted_while_its_job_runs_is_not_missed(backend, tmp_path):
    """It is read once, whole, at the beginning."""
    photo = tmp_path / "photo.png"
    shutil.copy(EXAMPLE, photo)
    folder = backend.reconstruct(
        ReconstructOptions(photo=str(photo), **QUICK),
        tmp_path / "out",
        on_body=lambda _: photo.unlink(missing_ok=True),  # called again for the optimised body
    )
    assert whole(folder) and not photo.exists()
    assert json.loads((folder / "result.json").read_text("utf-8"))["photo"]["path"] == str(photo)
    with pytest.raises(PhotoError, match="does not exist"):
        backend.reconstruct(ReconstructOptions(photo=str(photo), **QUICK), tmp_path / "again")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_one_backend_survives_a_row_of_bad_photos(backend, tmp_path):
    bad = {"empty.png": b"", "letter.jpg": b"Dear photo", "folder.png": None}
    for name, content in bad.items():
        (tmp_path / name).mkdir() if content is None else (tmp_path / name).write_bytes(content)
        with pytest.raises(PhotoError, match=name):
            backend.reconstruct(ReconstructOptions(photo=str(tmp_path / name), **QUICK), tmp_path / "out")
        assert not (tmp_path / "out").exists()
    assert whole(backend.reconstruct(ReconstructOptions(photo=str(EXAMPLE), **QUICK), tmp_path / "out"))


def test_a_mask_of_another_shape_stops_the_job_before_it_costs_anything(backend, tmp_path):
    mask, stages = tmp_path / "mask.png", []
    Image.fromarray(np.full((40, 400), 255, np.uint8)).save(mask)
    with pytest.raises(PhotoError, match=r"mask\.png is 400 x 40 pixels"):
        backend.reconstruct(
            ReconstructOptions(photo=str(EXAMPLE), mask=str(mask), **QUICK),
            tmp_path / "out",
            on_progress=lambda stage, *_: stages.append(stage),
        )
    assert set(stages) == {"photo"} and not (tmp_path / "out").exists()


def test_weights_swapped_under_a_running_backend_do_not_mix(backend, tmp_path):
    """What is loaded stays; a fresh backend refuses the folder; the right file back, it works."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for kind in ("geometry", "texture"):
        shutil.copy(models_dir() / f"lite_{kind}.safetensors", folder)
    options = ReconstructOptions(photo=str(EXAMPLE), weights=str(folder), **QUICK)
    warm = Backend("cpu", estimator=backend.estimators.landmarks)
    first = warm.reconstruct(options, tmp_path / "first")
    texture = folder / "lite_texture.safetensors"
    texture.write_bytes(texture.read_bytes()[:-1000])
    second = warm.reconstruct(options, tmp_path / "second")
    digests = [json.loads((f / "result.json").read_text("utf-8"))["weights"] for f in (first, second)]
    assert digests[0] == digests[1]
    fresh = Backend("cpu", estimator=backend.estimators.landmarks)
    with pytest.raises(WeightsError, match=r"lite_texture\.safetensors cannot be used"):
        fresh.reconstruct(options, tmp_path / "third")
    assert not (tmp_path / "third").exists()
    shutil.copy(models_dir() / "lite_texture.safetensors", folder)
    assert whole(fresh.reconstruct(options, tmp_path / "third"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="such names exist on Linux only")
def test_a_photo_whose_name_is_no_unicode_becomes_a_character(backend, tmp_path):
    photo = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    shutil.copy(EXAMPLE, photo)
    folder = backend.reconstruct(ReconstructOptions(photo=photo, **QUICK), tmp_path / "out")
    assert json.loads((folder / "result.json").read_text("utf-8"))["photo"]["path"] == photo


def test_nothing_is_plain_ascii(tmp_path):
    """Package, models, home, photo and result: every folder with spaces and letters from everywhere."""
    odd = tmp_path / "Künstlerin 人物 'add on' 🙂 %20"
    package = odd / "erweiterung ß" / "pamir_blender"
    ignore = shutil.ignore_patterns("__pycache__", "training", "addon")
    shutil.copytree(PACKAGE, package, ignore=ignore)
    shutil.copytree(
        models_dir(), package / "models", ignore=shutil.ignore_patterns("open_body_build", "*.py")
    )
    photo, out, home = odd / "Фото ñ.png", odd / "résultats" / "eins zwei", odd / "zu Hause"
    home.mkdir()
    shutil.copy(EXAMPLE, photo)
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home), "TMPDIR": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "pamir_blender", "reconstruct", str(photo), "--out", str(out), *COMMAND[2:]],
        cwd=package.parent, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert whole(out)
    report = json.loads((out / "result.json").read_text("utf-8"))
    assert report["photo"]["path"] == str(photo)


RUN = """
import sys
root, out, *command = sys.argv[1:]
sys.path.insert(0, root)
from pamir_blender import cli
sys.exit(cli.main([*command, "--out", out]))
"""


@needs_mounts
def test_the_backend_writes_nowhere_but_into_the_result(tmp_path):
    """Everything else is read-only: the home folder, the temporary folder, the package, the environment."""
    out = tmp_path / "results"
    out.mkdir()
    script = f"import sys, pathlib\ntry:\n    pathlib.Path({str(tmp_path / 'x')!r}).write_text('')\n" + (
        "except OSError:\n    pass\nelse:\n    sys.exit('the disk can be written')\n"
    )
    done = private_mount.run(
        script + RUN, ROOT, out / "one", *COMMAND, read_only=["/"], writable=[out], timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert whole(out / "one")


FILL = """
import sys
from pathlib import Path
root, photo, out = sys.argv[1:]
sys.path.insert(0, root)
from pamir_blender.errors import ResultError
from pamir_blender.pipeline import Backend, ReconstructOptions
out = Path(out)
ballast = out.parent / "ballast"
backend = Backend("cpu")
options = ReconstructOptions(photo=photo, resolution=64, texture_size=256, faces=4000)

def fill(stage):
    if stage == "save" and not ballast.exists():
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 65536):
                    pass
            except OSError:
                pass

try:
    backend.reconstruct(options, out, on_progress=lambda stage, *_: fill(stage))
except ResultError as error:
    print(error)
print(sorted(p.name for p in out.parent.iterdir()))
ballast.write_bytes(b"")
print(sorted(p.name for p in backend.reconstruct(options, out).iterdir()))
"""


@needs_mounts
def test_a_disk_that_fills_while_saving_leaves_nothing_half_and_the_next_job_works(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    done = private_mount.run(FILL, ROOT, EXAMPLE, disk / "out", tiny=[disk], size="24m", timeout=300)
    assert done.returncode == 0, done.stderr
    refused, left, names = done.stdout.splitlines()
    assert refused.startswith(f"The disk of {disk / 'out'} is full. Make room")
    assert left == "['ballast']"
    assert set(eval(names)) >= FILES


def test_a_results_folder_that_is_a_file_is_named(backend, tmp_path):
    (tmp_path / "results").write_text("mine")
    with pytest.raises(ResultError, match="results"):
        backend.reconstruct(ReconstructOptions(photo=str(EXAMPLE), **QUICK), tmp_path / "results" / "out")
    assert (tmp_path / "results").read_text() == "mine"


def test_two_jobs_at_once_share_a_results_folder(tmp_path):
    """Two processes, as two Blenders have them, that start together."""
    commands = [
        [sys.executable, "-m", "pamir_blender", *COMMAND, "--out", str(tmp_path / name)] for name in "ab"
    ]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for command in commands]
    for one in both:
        _, said = one.communicate(timeout=300)
        assert one.returncode == 0, said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    assert whole(tmp_path / "a") and whole(tmp_path / "b")
