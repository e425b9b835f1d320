"""Finding the one character of the file, turning its bones, waiting for its jobs."""

import time
from pathlib import Path

import bpy
import numpy as np

from pamir_blender.addon.jobs import runner
from pamir_blender.addon.preferences import get_preferences
from pamir_blender.addon.scene import hypotheses, ownership
from pamir_blender.addon.scene.edited_body import read_edited_body


def found():
    (collection,) = (c for c in bpy.data.collections if c.get("pamir_character"))
    return collection


def part(role):
    return ownership.find_object(found()["pamir_character"], role)


def entries():
    return found().pamir.hypotheses


def turn(bone="left_elbow", angle=0.7):
    pose_bone = part("armature").pose.bones[bone]
    pose_bone.rotation_mode = "XYZ"
    pose_bone.rotation_euler.x += angle
    bpy.context.view_layer.update()


def edited():
    collection = found()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    return read_edited_body(collection, hypotheses.current(collection), depsgraph)


def points(obj):
    found_points = np.empty(3 * len(obj.data.vertices), np.float32)
    obj.data.vertices.foreach_get("co", found_points)
    return found_points.reshape(-1, 3)


def results():
    """The result folders, the latest last: names of one second are in no order."""
    return sorted(Path(get_preferences().results_folder).iterdir(), key=lambda p: p.stat().st_mtime_ns)


def step_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        runner.step()
        time.sleep(0.02)
