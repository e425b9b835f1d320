"""The command line, with a pipeline that does what the photo's name says."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

import pamir_blender
from pamir_blender import cli, errors, result

ROOT = Path(__file__).resolve().parents[1]
INVALID = b"foto-\xff.png".decode("utf-8", "surrogateescape")
posix = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals to itself")


@dataclass(frozen=True)
class Options:
    """The real one's fields."""

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
    optimise: int = 50
    estimator: str = "landmarks"


class Backend:
    seen: list = []

    def __init__(self, device="auto"):
        self.device = device

    def reconstruct(self, options, out, *, on_progress, cancelled):
        self.seen.append((options, out, self.device))
        on_progress("photo", 0.1, "Finding the person")
        on_progress("photo", 0.2, "Finding the person")
        with result.whole_folder(out) as folder:
            (folder / "half").write_text("written")
            getattr(self, "do_" + Path(options.photo).stem, lambda c: None)(cancelled)
            on_progress("save", 1.0, "Saving")
            result.write_json(
                folder, {"silhouette_iou": 0.9375, "photo": {"warnings": ["The left arm was guessed."]}}
            )
        return out

    def do_noisy(self, cancelled):
        print("python noise")
        os.write(1, b"native noise\n")

    def do_nobody(self, cancelled):
        raise errors.NoPersonError("Nobody was found\nin nobody.png.")

    def do_weights(self, cancelled):
        raise errors.WeightsError("No such weights.")

    def do_memory(self, cancelled):
        raise errors.DeviceMemoryError("The computer ran out of memory.")

    def do_bug(self, cancelled):
        raise ZeroDivisionError("a bug")

    def do_interrupted(self, cancelled):
        os.kill(os.getpid(), signal.SIGINT)
        assert cancelled()
        raise errors.Cancelled("cancelled")

    def do_terminated(self, cancelled):
        os.kill(os.getpid(), signal.SIGTERM)
        assert cancelled()
        raise errors.Cancelled("cancelled")

    def do_impatient(self, cancelled):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal must interrupt")


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run a command in an empty folder; gives its exit code, standard output and standard error."""

    def check(device):
        return {"device": device, "versions": {"torch": None}, "models": [{"name": "a", "ok": True}]}

    fake = SimpleNamespace(Backend=Backend, ReconstructOptions=Options, check_backend=check)
    monkeypatch.setitem(sys.modules, "pamir_blender.pipeline", fake)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Backend, "seen", [])
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def run(*argv, **keywords):
        capfd.readouterr()
        code = cli.main([str(a) for a in argv], **keywords)
        return code, *capfd.readouterr()

    yield run
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def photo(name):
    path = Path(name).absolute()
    path.write_bytes(b"")
    return path


def test_a_photo_becomes_a_folder(run, tmp_path):
    code, out, err = run("reconstruct", photo("möwe 人.png").name)
    folder = tmp_path / "out" / "möwe 人"
    assert code == 0 and out == f"{folder}\n"
    assert sorted(p.name for p in folder.iterdir()) == ["half", "result.json"]
    lines = err.splitlines()
    assert lines[0].startswith("done in ") and lines[1] == "note: The left arm was guessed."
    assert lines[2] == "silhouette IoU 0.938"


def test_progress_is_one_redrawn_line_on_a_terminal(run, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    _, _, err = run("reconstruct", photo("a.png").name)
    assert "\r 10 %  Finding the person" in err and "\r100 %  Saving" in err
    wiped = err[: err.index("done in ")]
    assert wiped.endswith(" \r") and "\n" not in wiped


def test_json_is_all_that_reaches_standard_output(run, tmp_path):
    code, out, err = run("reconstruct", photo("noisy.png"), "--json", "--out", tmp_path / "r")
    assert code == 0
    assert out == (tmp_path / "r" / "result.json").read_text("utf-8")
    assert json.loads(out)["silhouette_iou"] == 0.9375
    assert err.splitlines() == ["python noise", "native noise"]


@pytest.mark.skipif(sys.platform != "linux", reason="only here are such names possible")
def test_a_name_that_is_no_unicode_comes_out_as_it_went_in(run, tmp_path):
    done = subprocess.run([sys.executable, "-c", STUB, "reconstruct", photo(INVALID)], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == os.fsencode(tmp_path / "out" / INVALID.removesuffix(".png")) + b"\n"


STUB = f"""
import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
import test_cli, types
from pamir_blender import cli
fake = types.SimpleNamespace(Backend=test_cli.Backend, ReconstructOptions=test_cli.Options)
sys.modules["pamir_blender.pipeline"] = fake
sys.exit(cli.main())
"""


def test_every_option_arrives(run, tmp_path):
    mask, model = photo("mask.png"), photo("smpl.npz")
    (tmp_path / "weights").mkdir()
    arguments = (
        "--out r --mask mask.png --person 2 --resolution 128 --device cpu --size paper --body-model smpl.npz"
        " --weights weights --seed 7 --no-texture --texture-size 512 --faces 5000 --optimise 7"
        " --body-from both"
    )
    assert run("reconstruct", photo("a.png"), *arguments.split())[0] == 0
    (options, out, device) = Backend.seen[0]
    assert (out, device) == (tmp_path / "r", "cpu")
    assert options == Options(
        str(tmp_path / "a.png"), str(mask), 2, None, 128, "paper", str(model), str(tmp_path / "weights"), 7,
        False, 512, 5000, 7, "both",
    )  # fmt: skip
    assert run("reconstruct", "a.png", "--box", 1, 2, 3, 4)[0] == 0
    assert Backend.seen[1][0] == Options(str(tmp_path / "a.png"), box=(1.0, 2.0, 3.0, 4.0))


def test_defaults_are_the_pipelines_own():
    pytest.importorskip("torch", reason="the pipeline runs in the backend's Python")
    from pamir_blender.pipeline import ReconstructOptions

    args = cli.build_parser().parse_args(["reconstruct", __file__])
    job = cli.options_from_args(args)
    assert job.options == asdict(ReconstructOptions(__file__))


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["reconstruct", "missing.png"], "missing.png"),
        (["reconstruct", "."], "no photo"),
        (["reconstruct", "a.png", "--mask", "missing.png"], "no mask file"),
        (["reconstruct", "a.png", "--body-model", "missing.npz"], "no body model file"),
        (["reconstruct", "a.png", "--weights", "missing"], "no weights folder"),
        (["reconstruct", "a.png", "--out", "full"], "holds other files"),
        (["reconstruct", "a.png", "--out", "a.png"], "is a file"),
        (["reconstruct", "nobody.png"], "Nobody was found in nobody.png"),
        (["reconstruct", "weights.png"], "No such weights"),
        (["reconstruct", "a.png", "--size", "huge"], "huge"),
        (["reconstruct", "a.png", "--resolution", "fine"], "fine"),
        (["reconstruct", "a.png", "--person", "1", "--box", "1", "2", "3", "4"], "not allowed"),
        (["reconstruct"], "PHOTO"),
        (["dance"], "dance"),
        ([], "COMMAND"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run, tmp_path, argv, says):
    for name in ("a.png", "nobody.png", "weights.png"):
        photo(name)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(*argv)
    (line,) = err.splitlines()
    assert (code, out) == (2, "") and says in line and line.startswith("python -m pamir_blender")
    assert [p for p in sorted(tmp_path.rglob("*")) if p != tmp_path / "out"] == before


def test_bad_input_with_json_is_one_line_in_all(run):
    assert run("reconstruct", photo("nobody.png"), "--json") == (
        2, "", "python -m pamir_blender: Nobody was found in nobody.png.\n",
    )  # fmt: skip


def test_an_earlier_result_is_replaced_and_survives_a_failure(run, tmp_path):
    out = tmp_path / "r"
    assert run("reconstruct", photo("a.png"), "--out", out)[0] == 0
    (out / "mark").touch()
    assert run("reconstruct", photo("nobody.png"), "--out", out)[0] == 2
    assert (out / "mark").exists()
    assert run("reconstruct", "a.png", "--out", out)[0] == 0
    assert not (out / "mark").exists()


def test_failures_that_are_not_the_inputs_exit_1(run, tmp_path):
    code, _, err = run("reconstruct", photo("memory.png"), "--json")
    assert (code, err) == (1, "python -m pamir_blender: The computer ran out of memory.\n")
    code, _, err = run("reconstruct", photo("bug.png"), "--json")
    assert code == 1 and "Traceback" in err and "unexpected ZeroDivisionError" in err.splitlines()[-1]
    assert not list((tmp_path / "out").glob("*"))


def test_a_backend_that_cannot_be_imported_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pamir_blender.pipeline", None)
    code, out, err = run("reconstruct", photo("a.png"))
    assert (code, out) == (1, "") and sys.executable in err and "pip install" in err
    assert run("check")[0] == 1


@posix
@pytest.mark.parametrize("name", ["interrupted", "terminated", "impatient"])
def test_stopping_exits_130_and_leaves_nothing(run, tmp_path, name):
    code, out, _ = run("reconstruct", photo(f"{name}.png"))
    assert (code, out) == (130, "")
    assert not list((tmp_path / "out").glob("*"))


def test_check(run):
    assert run("check", "--device", "cpu", "--json")[1] == (
        json.dumps(
            {"device": "cpu", "versions": {"torch": None}, "models": [{"name": "a", "ok": True}]}, indent=1
        )
        + "\n"
    )
    code, out, _ = run("check")
    assert code == 0
    assert out.splitlines() == [
        "device: auto",
        "versions:",
        "  torch: missing",
        "models:",
        "  - name: a, ok: True",
    ]


def test_parameters(run):
    pytest.importorskip("torch", reason="the networks need the backend's Python")
    code, out, err = run("parameters")
    assert (code, err) == (0, "")
    (row,) = [
        line.split() for line in out.splitlines() if line.startswith("geometry paper") and "all" in line
    ]
    assert row[-2:] == ["27,225,105", "27,225,105"]


def test_bench_gets_the_rest_of_the_line(run, monkeypatch):
    seen = []
    fake = SimpleNamespace(main=lambda argv: seen.append(argv))
    monkeypatch.setitem(sys.modules, "pamir_blender.bench", fake)
    assert run("bench", "--size", "lite", "--help")[0] == 0
    assert seen == [["--size", "lite", "--help"]]


def test_blender_brings_its_own_runner(run, tmp_path):
    class BlendersRunner:
        def run(self, job, on_progress, cancelled):
            assert (
                job.task == "reconstruct"
                and job.options["photo"] == str(tmp_path / "a.png")
                and not cancelled()
            )
            on_progress("photo", 0.5, "half-way")
            job.out.mkdir(parents=True)
            (job.out / "result.json").write_text("{}\n")
            return job.out

        def check(self, device):
            return {"device": device}

    inside = {"runner": BlendersRunner(), "prog": "blender --command pamir"}
    code, out, err = run("reconstruct", photo("a.png"), **inside)
    assert code == 0 and out == f"{tmp_path / 'out' / 'a'}\n"
    assert run("check", **inside) == (0, "device: auto\n", "")
    for command in ("bench", "parameters"):
        code, _, err = run(command, **inside)
        assert code == 2 and err.startswith("blender --command pamir: ")
    assert Backend.seen == []


def test_help_and_version_exit_0(run):
    code, out, _ = run("--help")
    assert code == 0 and all(name in out for name in ("reconstruct", "check", "parameters", "bench"))
    assert run("--version")[:2] == (0, f"pamir_blender {pamir_blender.__version__}\n")


def test_help_loads_the_standard_library_only():
    code = (
        "import sys; from pamir_blender.cli import build_parser; build_parser().format_help();"
        "sys.exit(bool({'torch', 'numpy', 'bpy', 'scipy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_module_is_the_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pamir_blender", "reconstruct", tmp_path / "missing.png"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
