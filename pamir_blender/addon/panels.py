"""The "PaMIR" tab in the 3D view's sidebar: a photo, one big button, and what came of it."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..contracts import LIMBS
from ..errors import PamirError
from ..plain_files import is_file
from . import active, previews
from .jobs import runner
from .operators.overlay import DISPLAYS
from .operators.view import PARTS
from .panels_setup import draw_error_help, draw_setup
from .panels_text import wrapped
from .scene import overlay
from .scene.collection import DOUBTFUL, doubtful_limbs, limb_label, recall


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PaMIR"


class PAMIR_PT_photo(_Sidebar, bpy.types.Panel):
    """The photo and the big button."""

    bl_idname = "PAMIR_PT_photo"
    bl_label = "Photo to Character"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw from top to bottom in the order of use."""
        layout = self.layout
        self._draw_photo(layout, context)
        layout.separator(factor=0.5)
        if runner.busy:
            self._draw_progress(layout, context)
        else:
            self._draw_button(layout, context)
        self._draw_error(layout, context)

    def _draw_photo(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        path = context.scene.pamir.photo_path
        if not path:
            column = layout.column(align=True)
            column.scale_y = 1.5
            column.operator("pamir.choose_photo", text="Choose Photo", icon="IMAGE_DATA")
            wrapped(layout, context, "One whole person, head to feet.", icon="NONE", faint=True)
            return
        box = layout.box()
        icon = previews.photo_icon(path)
        if icon:
            box.template_icon(icon_value=icon, scale=7.0)
        row = box.row(align=True)
        if is_file(bpy.path.abspath(path)):
            row.label(text=Path(path).name)
        else:
            row.alert = True
            row.label(text=f"Not found: {Path(path).name}", icon="ERROR")
        row.operator("pamir.choose_photo", text="", icon="FILEBROWSER")
        row.operator("pamir.clear_photo", text="", icon="X")

    def _draw_button(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        row = layout.row()
        row.scale_y = 1.8
        row.operator("pamir.reconstruct", icon="OUTLINER_OB_ARMATURE")
        draw_setup(layout, context)

    def _draw_progress(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        state = context.window_manager.pamir
        column = layout.column(align=True)
        row = column.row()
        row.scale_y = 1.4
        text = f"{state.message or 'Working'}  {state.progress:.0%}"
        row.progress(factor=state.progress, type="BAR", text=text)
        row = column.row()
        row.scale_y = 1.2
        row.operator("pamir.cancel", text="Cancel (Esc)", icon="CANCEL")

    def _draw_error(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        state = context.window_manager.pamir
        if not state.error:
            return
        box = layout.box()
        box.alert = True
        wrapped(box, context, state.error, icon="ERROR")
        if state.log:
            operator = box.operator("wm.path_open", text="Open Log", icon="TEXT")
            operator.filepath = state.log
        draw_error_help(box, context)


class PAMIR_PT_options(_Sidebar, bpy.types.Panel):
    """What most photos need no change of."""

    bl_idname = "PAMIR_PT_options"
    bl_parent_id = "PAMIR_PT_photo"
    bl_label = "Options"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the options of the scene."""
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = not runner.busy
        options = context.scene.pamir
        row = layout.row()
        row.prop(options, "resolution", expand=True)
        layout.prop(options, "use_texture")
        layout.prop(options, "use_optimise")
        layout.separator()
        layout.prop(options, "mask_path", placeholder="Automatic")
        layout.prop(options, "person", text="Person" if options.person else "Person (automatic)")
        layout.separator()
        layout.prop(options, "seed")


class PAMIR_PT_character(_Sidebar, bpy.types.Panel):
    """The selected character: how far to trust it, what to show, where it can go."""

    bl_idname = "PAMIR_PT_character"
    bl_label = "Character"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the active character, or how to get one."""
        layout = self.layout
        collection = active.active_collection(context)
        if collection is None:
            wrapped(layout, context, "Select a PaMIR character.", icon="NONE", faint=True)
        else:
            layout.label(text=collection.name, icon="OUTLINER_COLLECTION")
            self._draw_parts(layout, context)
            self._draw_trust(layout, context, collection)
            self._draw_overlay(layout, context)
            layout.operator("pamir.export_glb", text="Export GLB...", icon="EXPORT")
        row = layout.row(align=True)
        row.operator("pamir.import_result", text="Import Result...", icon="IMPORT")
        row.operator("pamir.open_result_folder", text="", icon="FILE_FOLDER")

    def _draw_parts(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        row = layout.row(align=True)
        for part, label, _, icon, _ in PARTS:
            obj = active.active_part(context, part)
            cell = row.row(align=True)
            cell.enabled = obj is not None
            shown = obj is not None and not obj.hide_get()
            cell.operator("pamir.toggle_part", text=label, icon=icon, depress=shown).part = part

    def _draw_overlay(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        column = layout.column(align=True)
        column.operator("pamir.view_photo", icon="CAMERA_DATA")
        photo = overlay.photo_of(active.active_part(context, "camera"))
        if photo is not None:
            column.prop(photo, "alpha", text="Photo Opacity", slider=True)
        row = layout.row(align=True)
        shown = overlay.body_display(active.active_part(context, "body"))
        row.label(text="Body")
        for display, label, *_ in DISPLAYS:
            row.operator("pamir.show_body", text=label, depress=shown == display).display = display
        armature = active.active_part(context, "armature")
        colored = armature is not None and overlay.colors_shown(armature)
        layout.operator("pamir.color_confidence", icon="COLOR", depress=colored)

    def _draw_trust(
        self, layout: bpy.types.UILayout, context: bpy.types.Context, collection: bpy.types.Collection
    ) -> None:
        try:
            info = recall(collection)
        except PamirError as error:
            wrapped(layout, context, str(error), icon="ERROR")
            return
        for warning in info.warnings:
            wrapped(layout, context, warning, icon="ERROR")
        doubtful = doubtful_limbs(info.confidence)
        if doubtful:
            names = ", ".join(doubtful).lower()
            wrapped(layout, context, f"Doubtful pose: {names}. Check it from the side.", icon="ERROR")
        if not info.confidence:
            return
        header, body = layout.panel("pamir_confidence", default_closed=not doubtful)
        header.label(text="Pose Confidence")
        if body is None:
            return
        column = body.column(align=True)
        for limb in (limb for limb in LIMBS if limb in info.confidence):
            value = info.confidence[limb]
            row = column.row()
            row.alert = value < DOUBTFUL
            row.progress(factor=value, type="BAR", text=f"{limb_label(limb)}  {value:.0%}")
        if info.silhouette_iou is not None:
            body.label(text=f"Outline matches the photo: {info.silhouette_iou:.0%}")


CLASSES = (PAMIR_PT_photo, PAMIR_PT_options, PAMIR_PT_character)
