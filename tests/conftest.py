"""Which tests this Python can run: those of Blender need bpy, all others the backend."""

import importlib.util

_inside_blender = importlib.util.find_spec("bpy") is not None
collect_ignore = [] if _inside_blender else ["blender"]
