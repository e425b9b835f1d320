"""PaMIR for Blender: one photo of a person becomes a rigged, textured, clothed character.

Importing this package needs neither bpy nor torch; Blender calls :func:`register`.
"""

__version__ = "0.1.0"


def register() -> None:
    """Register the add-on with Blender."""
    from .addon import register as register_addon

    register_addon()


def unregister() -> None:
    """Remove the add-on from Blender."""
    from .addon import unregister as unregister_addon

    unregister_addon()
