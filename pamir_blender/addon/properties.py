"""What is set per photo (kept in the scene) and what a running job says (kept nowhere)."""

from __future__ import annotations

import bpy

RESOLUTIONS = (
    ("128", "128", "A quick look"),
    ("256", "256", "The usual choice"),
    ("512", "512", "Finest detail; several times slower"),
)


LIVE_RESOLUTIONS = (
    ("64", "64", "Fastest, coarse"),
    ("96", "96", "The usual choice"),
    ("128", "128", "Finer, slower"),
)


class PAMIR_PG_options(bpy.types.PropertyGroup):
    """The photo and the options of the next reconstruction; ``Scene.pamir``."""

    photo_path: bpy.props.StringProperty(
        name="Photo", description="A photo that shows one whole person", subtype="FILE_PATH"
    )
    mask_path: bpy.props.StringProperty(
        name="Mask",
        description="Your own mask: an image that is white where the person is. Empty: found by itself, "
        "or taken from the photo's transparency",
        subtype="FILE_PATH",
    )
    person: bpy.props.IntProperty(
        name="Person",
        description="Which person of several: 1 is the most prominent, 2 the next. 0 chooses by itself",
        min=0,
        max=99,
    )
    resolution: bpy.props.EnumProperty(
        name="Resolution",
        description="Cells along each side of the space the surface is found in",
        items=RESOLUTIONS,
        default="256",
    )
    use_texture: bpy.props.BoolProperty(
        name="Texture",
        description="Paint the clothed mesh, the sides the photo does not show included",
        default=True,
    )
    use_optimise: bpy.props.BoolProperty(
        name="Optimise the Body",
        description="After the first estimate, let the body move to where the networks see the person",
        default=True,
    )
    seed: bpy.props.IntProperty(
        name="Seed", description="The same photo with the same seed gives the same character", min=0
    )


class PAMIR_PG_state(bpy.types.PropertyGroup):
    """What the running or last job says, and how live preview works; ``WindowManager.pamir``.

    Undo leaves the window manager alone. The truth about jobs is in :mod:`.jobs`.
    """

    running: bpy.props.BoolProperty(options={"SKIP_SAVE"})
    stage: bpy.props.StringProperty(options={"SKIP_SAVE"})
    message: bpy.props.StringProperty(options={"SKIP_SAVE"})
    progress: bpy.props.FloatProperty(min=0.0, max=1.0, options={"SKIP_SAVE"})
    error: bpy.props.StringProperty(options={"SKIP_SAVE"})
    log: bpy.props.StringProperty(options={"SKIP_SAVE"})
    live_resolution: bpy.props.EnumProperty(
        name="Preview Resolution",
        description="Cells along each side of the space the live preview is found in",
        items=LIVE_RESOLUTIONS,
        default="96",
        options={"SKIP_SAVE"},
    )
    live_finish: bpy.props.BoolProperty(
        name="Regenerate When Switched Off",
        description="Turn the preview into a full hypothesis when live preview is switched off",
        options={"SKIP_SAVE"},
    )

    def clear(self) -> None:
        """Forget the last job."""
        self.running, self.progress = False, 0.0
        self.stage = self.message = self.error = self.log = ""


def register() -> None:
    """Register the property groups and hang them on Scene and WindowManager."""
    bpy.utils.register_class(PAMIR_PG_options)
    bpy.utils.register_class(PAMIR_PG_state)
    bpy.types.Scene.pamir = bpy.props.PointerProperty(type=PAMIR_PG_options)
    bpy.types.WindowManager.pamir = bpy.props.PointerProperty(type=PAMIR_PG_state)


def unregister() -> None:
    """Remove both again."""
    del bpy.types.WindowManager.pamir
    del bpy.types.Scene.pamir
    bpy.utils.unregister_class(PAMIR_PG_state)
    bpy.utils.unregister_class(PAMIR_PG_options)
