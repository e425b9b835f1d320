"""The hypotheses of the selected character: the list, what runs PaMIR again, tools for the pose."""

from __future__ import annotations

import bpy

from ..contracts import JOINT_NAMES
from ..depth_flip import FLIP_LIMBS
from ..errors import PamirError
from . import active, files_there, previews
from .jobs import runner
from .live import live
from .panels_text import wrapped
from .ready import why_no_run
from .scene import hypotheses, hypothesis_mesh, record
from .scene.collection import DOUBTFUL, limb_label


class PAMIR_UL_hypotheses(bpy.types.UIList):
    """One row a hypothesis: picture, name, when, and whether it is shown. A sidebar has no room for more."""

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: bpy.types.PropertyGroup,
        item: bpy.types.PropertyGroup,
        icon: int,
        active_data: bpy.types.PropertyGroup,
        active_property: str,
        index: int = 0,
        flt_flag: int = 0,
    ) -> None:
        """Draw the row."""
        row = layout.row(align=True)
        picture = previews.packed_icon(item.picture)
        if picture:
            row.prop(item, "name", text="", emboss=False, icon_value=picture)
        else:
            row.prop(item, "name", text="", emboss=False, icon="OUTLINER_OB_ARMATURE")
        told = row.row()
        told.active = False
        told.ui_units_x = 2.2
        told.label(text=item.created[11:16])
        if item.uid == data.current:
            row.label(text="", icon="RADIOBUT_ON")
        else:
            row.prop(item, "shown", text="", emboss=False, icon="HIDE_OFF" if item.shown else "HIDE_ON")


class PAMIR_PT_hypotheses(bpy.types.Panel):
    """Turn bones, regenerate, compare."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PaMIR"
    bl_idname = "PAMIR_PT_hypotheses"
    bl_label = "Hypotheses"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the active character's hypotheses, or how to get one."""
        layout = self.layout
        collection = active.active_collection(context)
        entry = hypotheses.current(collection) if collection is not None else None
        if entry is None:
            text = "Select a PaMIR character." if collection is None else "There is none yet."
            wrapped(layout, context, text, faint=True)
            return
        self._draw_run(layout, context)
        self._draw_live(layout, context)
        self._draw_list(layout, context, collection, entry)
        self._draw_trouble(layout, context, collection, entry)
        self._draw_told(layout, context, entry)

    def _draw_run(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        row = layout.row()
        row.scale_y = 1.6
        row.operator("pamir.regenerate", icon="FILE_REFRESH")
        row = layout.row(align=True)
        row.operator("pamir.optimise_rest")
        row.operator("pamir.suggest")
        reason = why_no_run(context)
        if reason and not runner.busy:
            wrapped(layout, context, reason + ".", icon="INFO")

    def _draw_live(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        state = context.window_manager.pamir
        row = layout.row(align=True)
        row.operator("pamir.live_preview", icon="RENDER_ANIMATION", depress=live.on)
        cell = row.row(align=True)
        cell.ui_units_x = 3
        cell.prop(state, "live_resolution", text="")
        if not live.on:
            return
        layout.prop(state, "live_finish")
        if live.error:
            wrapped(layout, context, live.error, icon="ERROR")
        elif live.refreshing:
            layout.label(text="Refreshing the preview", icon="TIME")

    def _draw_list(
        self,
        layout: bpy.types.UILayout,
        context: bpy.types.Context,
        collection: bpy.types.Collection,
        entry: bpy.types.PropertyGroup,
    ) -> None:
        character = collection.pamir
        row = layout.row()
        row.template_list(
            "PAMIR_UL_hypotheses", "", character, "hypotheses", character, "active_index", rows=3, maxrows=8
        )
        column = row.column(align=True)
        column.operator("pamir.duplicate_hypothesis", text="", icon="DUPLICATE")
        column.operator("pamir.delete_hypothesis", text="", icon="TRASH")
        posed = summary(entry)
        if posed:
            wrapped(layout, context, f"Changed: {posed}", faint=True)
        row = layout.row(align=True)
        row.operator("pamir.compare_hypotheses", text="Compare", icon="MOD_ARRAY", depress=character.compare)
        row.operator("pamir.solo_hypothesis", icon="SOLO_ON")

    def _draw_trouble(
        self,
        layout: bpy.types.UILayout,
        context: bpy.types.Context,
        collection: bpy.types.Collection,
        entry: bpy.types.PropertyGroup,
    ) -> None:
        try:
            options = record.options_of(entry)
            photo = options.get("photo") or record.info_of(entry).photo
        except PamirError as error:
            wrapped(layout, context, str(error), icon="ERROR")
            return
        for what, path in (("photo", photo), ("mask", options.get("mask"))):
            if path and not files_there.is_there(str(path)):
                box = layout.box()
                wrapped(box, context, f"The {what} is not at {path} any more.", icon="ERROR")
                operator = box.operator("pamir.relink_photo", text=f"Choose the {what.capitalize()} Again...")
                operator.what = what
        lost = not files_there.is_there(entry.folder)
        gone = hypothesis_mesh.mesh_of(collection, entry.uid) is None
        if lost or gone:
            box = layout.box()
            if lost:
                text = f"The result folder is not at {entry.folder} any more. This file holds all it needs."
                wrapped(box, context, text, icon="ERROR")
            if gone:
                wrapped(box, context, "The clothed mesh was deleted.", icon="ERROR")
            box.operator("pamir.recompute", icon="FILE_REFRESH")

    def _draw_told(
        self, layout: bpy.types.UILayout, context: bpy.types.Context, entry: bpy.types.PropertyGroup
    ) -> None:
        try:
            told = (record.optimisation_text(record.optimisation_of(entry)), record.held_text(entry))
        except PamirError as error:
            wrapped(layout, context, str(error), icon="ERROR")
            return
        for sentence in told:
            if sentence:
                wrapped(layout, context, sentence, icon="INFO")


class PAMIR_PT_pose_tools(bpy.types.Panel):
    """Ways to another pose."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PaMIR"
    bl_idname = "PAMIR_PT_pose_tools"
    bl_parent_id = "PAMIR_PT_hypotheses"
    bl_label = "Correct the Pose"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a character with hypotheses."""
        collection = active.active_collection(context)
        return collection is not None and bool(collection.pamir.hypotheses)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the tools."""
        layout = self.layout
        collection = active.active_collection(context)
        try:
            confidence = record.info_of(hypotheses.current(collection)).confidence
        except (PamirError, AttributeError):
            confidence = {}
        layout.label(text="Flip Depth", icon="ARROW_LEFTRIGHT")
        grid = layout.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
        for limb in FLIP_LIMBS:
            cell = grid.row(align=True)
            cell.alert = confidence.get(limb, 1.0) < DOUBTFUL
            cell.operator("pamir.flip_depth", text=limb_label(limb)).limb = limb
        column = layout.column(align=True)
        column.prop(collection.pamir, "yaw", slider=True)
        column.prop(collection.pamir, "pitch", slider=True)
        layout.operator("pamir.reset_pose", icon="LOOP_BACK")


def summary(entry: bpy.types.PropertyGroup) -> str:
    """What an artist or a suggestion changed, in a few words."""
    named = entry.edited.split(",")
    words = [joint.replace("_", " ") for joint in JOINT_NAMES if joint in named]
    words += [f"{limb_label(limb).lower()} flipped" for limb in entry.flipped.split(",") if limb]
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")


CLASSES = (PAMIR_UL_hypotheses, PAMIR_PT_hypotheses, PAMIR_PT_pose_tools)
