"""Starting reconstructions with the made-up backend, and what they leave in Blender."""

import bpy

from pamir_blender.addon.jobs import runner
from pamir_blender.addon.preferences import settings
from pamir_blender.addon.reconstruction import ReconstructionJob


def reconstruct(path):
    bpy.context.scene.pamir.photo_path = path
    return bpy.ops.pamir.reconstruct()


def start(path):
    """Start the job as the operator with a window does, without waiting."""
    bpy.context.scene.pamir.photo_path = path
    job = ReconstructionJob(bpy.context.scene, settings())
    runner.start(job, settings())
    return job


def roles():
    return sorted(o["pamir_role"] for o in bpy.data.objects if "pamir_role" in o)


ALL_ROLES = ["armature", "body", "camera", "clothed"]


def works_again(photo):
    assert reconstruct(photo("fine")) == {"FINISHED"}
    assert roles() == ALL_ROLES
