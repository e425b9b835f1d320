"""A worker without torch: its pipeline does what the photo's name says, with a made-up person."""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import synthetic_person as person  # noqa: E402

from pamir_blender import errors  # noqa: E402
from pamir_blender.depth_flip import FLIP_LIMBS, flip_depth  # noqa: E402
from pamir_blender.result import whole_folder  # noqa: E402
from pamir_blender.worker import server  # noqa: E402


class ReconstructOptions:
    """Takes what the real one takes."""

    def __init__(self, **options):
        self.__dict__.update(options)


RegenerateOptions = SuggestOptions = ReconstructOptions


class Backend:
    """Writes real result folders."""

    def __init__(self, device="auto"):
        self.device = device

    def reconstruct(self, options, out, *, on_progress, on_body, cancelled):
        self.photo = photo = Path(options.photo)
        story = photo.stem.split()[0]
        with whole_folder(out) as folder:
            on_progress("photo", 0.05, "Finding the person")
            if story == "nobody":
                raise errors.NoPersonError(f"Nobody was found in {photo.name}. Choose another photo.")
            arrays = person.scene_arrays()
            on_body(person.write_folder(folder / "body", arrays, photo, early=True))
            on_progress("surface", 0.4, "Finding the surface")
            if story not in ("fine", "gated"):
                time.sleep(0.3)  # long enough for the early body to be looked at
            getattr(self, f"do_{story}", lambda *_: None)(arrays, cancelled)
            person.write_folder(folder, arrays, photo)
            (folder / "options.txt").write_text(repr(sorted(vars(options).items())), "utf-8")
            on_progress("save", 1.0, "Saving")
        return out

    def regenerate(self, options, out, *, on_progress, on_body, cancelled):
        """Does what the photo's second word says: "fine later-slow.png" is slow from now on."""
        photo = Path(options.photo)
        with whole_folder(out) as folder:
            on_progress("surface", 0.4, "Finding the surface")
            arrays = person.regenerated_arrays(options.body)
            self._later(photo, arrays, cancelled)
            optimisation = None
            if options.optimise:
                free = [i for i, name in enumerate(person.ORDER) if name not in options.edited and i > 0]
                arrays["pose"][free] += np.float32(0.05)
                arrays["betas"][0] += np.float32(0.5)
                arrays["joints_rest"] *= np.float32(1.01)
                optimisation = {
                    "iterations": options.optimise, "requested": options.optimise, "kept": True, "reason": "",
                    "before": {"silhouette_iou": 0.8}, "after": {"silhouette_iou": 0.9},
                }  # fmt: skip
            person.write_folder(
                folder, arrays, photo, preview=options.preview, kind="regenerated", edited=options.edited,
                optimisation=optimisation, options={"resolution": options.resolution},
            )  # fmt: skip
            told = {**vars(options), "body": asdict(options.body)}
            (folder / "options.json").write_text(json.dumps(told), "utf-8")
        return out

    def suggest(self, options, out, *, on_progress, on_body, cancelled):
        photo = Path(options.photo)
        with whole_folder(out) as folder:
            limbs = [limb for limb, joints in FLIP_LIMBS.items()
                     if not {person.ORDER[j] for j in joints} & set(options.edited)]  # fmt: skip
            found = []
            for number, limb in enumerate(limbs[: options.count], 1):
                arrays = person.regenerated_arrays(options.body)
                self._later(photo, arrays, cancelled, number)
                pose = flip_depth(np.array(options.body.pose), arrays["joints_rest"], limb)
                arrays["pose"] = pose.astype(np.float32)
                place = folder / str(number)
                person.write_folder(place, arrays, photo, kind="suggested", flipped=[limb])
                label = f"{limb.replace('_', ' ').capitalize()} behind"
                found.append({"folder": str(number), "flipped": [limb], "energy": number, "label": label})
            reason = "" if found else "Every limb was posed by hand."
            listed = {"format": 1, "suggestions": found, "energy_now": 0.5, "reason": reason}
            (folder / "suggestions.json").write_text(json.dumps(listed), "utf-8")
            (folder / "result.json").write_text("{}", "utf-8")
        return out

    def _later(self, photo, arrays, cancelled, number=1):
        self.photo = photo
        words = photo.stem.split()
        story = words[1].removeprefix("later-") if len(words) > 1 else ""
        if story != "second-damaged" or number == 2:
            story = story.removeprefix("second-")
            getattr(self, f"do_{story}", lambda *_: None)(arrays, cancelled)

    def do_slow(self, arrays, cancelled):
        while not cancelled():
            time.sleep(0.02)
        raise errors.Cancelled("stopped")

    def do_gated(self, arrays, cancelled):
        """Says by a file that it waits, and goes on, even to be cancelled, once another file is there."""
        folder = self.photo.parent
        (folder / "waiting").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        if cancelled():
            raise errors.Cancelled("stopped")

    def do_deaf(self, arrays, cancelled):
        time.sleep(60)

    def do_killed(self, arrays, cancelled):
        os._exit(9)

    def do_memory(self, arrays, cancelled):
        raise MemoryError

    def do_moved(self, arrays, cancelled):
        arrays["pose"][16] += 0.3

    def do_damaged(self, arrays, cancelled):
        arrays["clothed_vertices_rest"][3] = float("nan")

    def do_bare(self, arrays, cancelled):
        del arrays["clothed_corner_uv"]


def check_backend(device):
    return {
        "device": "cpu",
        "device_name": "made up",
        "python": "3.11",
        "versions": {"torch": "2.13.0", "skimage": None},
        "models": [
            {"name": "geometry", "ok": True, "detail": "abc"},
            {"name": "texture", "ok": False, "file": "t"},
        ],
    }


if __name__ == "__main__":
    server.serve(lambda: sys.modules[__name__], die_with_parent="--die-with-parent" in sys.argv)
