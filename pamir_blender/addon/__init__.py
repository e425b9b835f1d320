"""Everything that imports bpy. The heavy work happens in another process, behind the worker's client."""

from __future__ import annotations


def register() -> None:
    """Register every class, property, handler and the command with Blender."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Stop a running job, close the worker and take everything back out of Blender."""
    from . import registration

    registration.unregister()
