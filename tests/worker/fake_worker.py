"""A worker whose pipeline does what the photo's name says. Started by the tests as a script of its own."""

import ctypes
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pamir_blender import errors
from pamir_blender.body_state import BodyState
from pamir_blender.worker import server


@dataclass(frozen=True)
class PhotoOptions:
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
    faces: int = 60000


@dataclass(frozen=True)
class ReconstructOptions(PhotoOptions):
    """The real one's fields."""

    optimise: int = 50
    estimator: str = "landmarks"


@dataclass(frozen=True, kw_only=True)
class RegenerateOptions(PhotoOptions):
    """The real one's fields."""

    body: BodyState
    edited: tuple[str, ...] = ()
    optimise: int = 0
    preview: bool = False


@dataclass(frozen=True, kw_only=True)
class SuggestOptions(PhotoOptions):
    """The real one's fields."""

    body: BodyState
    edited: tuple[str, ...] = ()
    count: int = 3


class Backend:
    """Counts its jobs, so that a test can see that it stayed warm."""

    def __init__(self, device="auto"):
        self.device, self.jobs = device, 0

    def reconstruct(self, options, out, **callbacks):
        return self._answer("reconstruct", options, out, **callbacks)

    def regenerate(self, options, out, **callbacks):
        return self._answer("regenerate", options, out, **callbacks)

    def suggest(self, options, out, **callbacks):
        return self._answer("suggest", options, out, **callbacks)

    def _answer(self, task, options, out, *, on_progress, on_body, cancelled):
        self.jobs += 1
        getattr(self, "do_" + Path(options.photo).stem.split()[0])(on_progress, cancelled)
        on_progress("photo", 0.1, "Finding the person")
        on_body(out.with_name(out.name + ".part"))
        on_progress("field", 0.5, "Asking the field", 0.25)
        on_progress("surface", 0.9, "Extracting")
        out.mkdir(parents=True)
        answer = (os.getpid(), self.jobs, self.device, asdict(options), task)
        (out / "answer.txt").write_text(repr(answer), "utf-8")
        return out

    def do_fine(self, on_progress, cancelled):
        pass

    def do_backwards(self, on_progress, cancelled):
        for fraction in (0.8, 0.3, 7.0):
            on_progress("odd", fraction, "")
            time.sleep(0.06)

    def do_prints(self, on_progress, cancelled):
        print("a stray print", '{"protocol": 2, "type": "Done"}', flush=True)
        os.write(1, b"a stray write\n")
        libc = ctypes.CDLL("msvcrt" if os.name == "nt" else None)
        libc.puts(b"a stray puts")
        libc.fflush(None)
        os.system("echo a stray child")
        sys.stdin.read()  # would wait for ever, or steal requests, if it were still the real one

    def do_slow(self, on_progress, cancelled):
        while not cancelled():
            time.sleep(0.02)
        raise errors.Cancelled("stopped")

    def do_stubborn(self, on_progress, cancelled):
        on_progress("stubborn", 0.2, "")
        ctypes.PyDLL(None).sleep(60)  # holds Python's global lock: no other Python thread can run

    def do_deaf(self, on_progress, cancelled):
        time.sleep(60)

    def do_no_person(self, on_progress, cancelled):
        raise errors.NoPersonError("Nobody in 'empty.png'; choose a photo with a person.")

    def do_cuda_memory(self, on_progress, cancelled):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    def do_cpu_memory(self, on_progress, cancelled):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")

    def do_memory(self, on_progress, cancelled):
        raise MemoryError

    def do_import(self, on_progress, cancelled):
        import a_package_nobody_has  # noqa: F401

    def do_disk_full(self, on_progress, cancelled):
        raise OSError(28, "No space left on device", "/full/place")

    def do_bug(self, on_progress, cancelled):
        raise ValueError("a bug")

    def do_exit(self, on_progress, cancelled):
        print("last words", file=sys.stderr, flush=True)
        os._exit(3)

    def do_sys_exit(self, on_progress, cancelled):
        sys.exit("somebody called exit")

    def do_segfault(self, on_progress, cancelled):
        ctypes.string_at(0)


def check_backend(device):
    """A report, unless the device says otherwise."""
    return {"device": device, "pid": os.getpid()}


if __name__ == "__main__":
    server.serve(lambda: sys.modules[__name__], die_with_parent="--die-with-parent" in sys.argv)
