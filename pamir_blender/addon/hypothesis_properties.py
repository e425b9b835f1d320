"""The hypotheses of a character, kept in its collection: ``Collection.pamir``.

What a hypothesis was made from lies here as JSON, so that a .blend alone is enough to go on: saving and
reloading, undo and a lost result folder change nothing about it. :mod:`.scene.record` reads and writes it.
"""

from __future__ import annotations

import bpy

from ..errors import PamirError


def _activate(self: PAMIR_PG_character, context: bpy.types.Context) -> None:
    from .scene import hypotheses

    if not 0 <= self.active_index < len(self.hypotheses):
        return
    if self.hypotheses[self.active_index].uid == self.current:
        return
    try:
        hypotheses.activate(self.id_data, self.active_index)
    except PamirError as error:
        context.window_manager.pamir.error = str(error)
        self.active_index = self.hypotheses.find(self.current_name())


def _show(self: PAMIR_PG_hypothesis, context: bpy.types.Context) -> None:
    from .scene import hypotheses

    hypotheses.arrange(self.id_data)


def _turn(self: PAMIR_PG_character, context: bpy.types.Context) -> None:
    from .scene import turn

    try:
        turn.follow_sliders(self.id_data)
    except PamirError as error:
        context.window_manager.pamir.error = str(error)


class PAMIR_PG_hypothesis(bpy.types.PropertyGroup):
    """One hypothesis: a clothed mesh and the exact body it was made with."""

    name: bpy.props.StringProperty(name="Name", description="Double-click to rename")
    uid: bpy.props.StringProperty(options={"HIDDEN"})
    kind: bpy.props.StringProperty(options={"HIDDEN"})
    created: bpy.props.StringProperty(options={"HIDDEN"})
    edited: bpy.props.StringProperty(options={"HIDDEN"})
    flipped: bpy.props.StringProperty(options={"HIDDEN"})
    folder: bpy.props.StringProperty(options={"HIDDEN"})
    state: bpy.props.StringProperty(options={"HIDDEN"})
    rest: bpy.props.StringProperty(options={"HIDDEN"})
    options: bpy.props.StringProperty(options={"HIDDEN"})
    info: bpy.props.StringProperty(options={"HIDDEN"})
    optimisation: bpy.props.StringProperty(options={"HIDDEN"})
    picture: bpy.props.PointerProperty(type=bpy.types.Image, options={"HIDDEN"})
    shown: bpy.props.BoolProperty(
        name="Show",
        description="Show this hypothesis in its own pose beside whatever else is shown",
        update=_show,
    )


class PAMIR_PG_character(bpy.types.PropertyGroup):
    """The hypotheses of one character and how they are looked at."""

    hypotheses: bpy.props.CollectionProperty(type=PAMIR_PG_hypothesis)
    active_index: bpy.props.IntProperty(
        name="Active Hypothesis", description="The armature follows this hypothesis", update=_activate
    )
    current: bpy.props.StringProperty(options={"HIDDEN"})
    compare: bpy.props.BoolProperty(options={"HIDDEN"})
    yaw: bpy.props.FloatProperty(
        name="Yaw",
        description="Turn the whole body about the upright axis of the photo",
        subtype="ANGLE", soft_min=-1.5708, soft_max=1.5708, update=_turn,
    )  # fmt: skip
    pitch: bpy.props.FloatProperty(
        name="Pitch",
        description="Tip the whole body towards the camera or away from it",
        subtype="ANGLE", soft_min=-0.7854, soft_max=0.7854, update=_turn,
    )  # fmt: skip
    turned: bpy.props.FloatVectorProperty(size=2, options={"HIDDEN"})

    def current_name(self) -> str:
        """The name of the hypothesis that the armature follows, or an empty string."""
        return next((h.name for h in self.hypotheses if h.uid == self.current), "")


def register() -> None:
    """Register the property groups and hang them on Collection."""
    bpy.utils.register_class(PAMIR_PG_hypothesis)
    bpy.utils.register_class(PAMIR_PG_character)
    bpy.types.Collection.pamir = bpy.props.PointerProperty(type=PAMIR_PG_character)


def unregister() -> None:
    """Remove them again; what a file holds stays in it."""
    del bpy.types.Collection.pamir
    bpy.utils.unregister_class(PAMIR_PG_character)
    bpy.utils.unregister_class(PAMIR_PG_hypothesis)
