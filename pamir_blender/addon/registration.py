"""What Blender is told about, in order, and taken back in reverse."""

from __future__ import annotations

from . import (
    command,
    files_there,
    handlers,
    hypothesis_properties,
    live,
    panels,
    panels_hypotheses,
    preferences,
    previews,
    properties,
)
from .jobs import runner
from .operators import CLASSES as OPERATORS
from .operators import setup_backend

_CLASSES = (*OPERATORS, *panels.CLASSES[:2], *panels_hypotheses.CLASSES, *panels.CLASSES[2:])
_MODULES = (
    preferences,
    properties,
    hypothesis_properties,
    previews,
    files_there,
    live,
    handlers,
    command,
    setup_backend,
)


def register() -> None:
    """Register every class, property, handler and the command with Blender."""
    import bpy

    for module in _MODULES:
        module.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Stop a running job, close the worker and take everything back out of Blender."""
    import bpy

    runner.shutdown()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    for module in reversed(_MODULES):
        module.unregister()
