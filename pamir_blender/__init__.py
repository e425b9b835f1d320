"""PaMIR for Blender: one photo of a person becomes a rigged, textured, clothed character.

Importing this package needs neither bpy nor torch; Blender calls :func:`register`.
"""

import sys

__version__ = "0.1.0"

# Blender reloads this file alone when the add-on was disabled and another version installed over it in the
# same session; without this the old version's modules would go on being used.
for _name in [name for name in sys.modules if name.startswith(f"{__name__}.")]:
    del sys.modules[_name]


def register() -> None:
    """Register the add-on with Blender."""
    from .addon import register as register_addon

    register_addon()


def unregister() -> None:
    """Remove the add-on from Blender."""
    from .addon import unregister as unregister_addon

    unregister_addon()
