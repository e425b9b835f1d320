"""Choosing the photo."""

from __future__ import annotations

import bpy

from ..jobs import runner

PATTERNS = "*.jpg;*.jpeg;*.png;*.webp;*.tif;*.tiff;*.bmp;*.avif;*.gif;*.jp2;*.tga"


class PAMIR_OT_choose_photo(bpy.types.Operator):
    """Choose a photo that shows one whole person"""

    bl_idname = "pamir.choose_photo"
    bl_label = "Choose Photo"
    bl_options = {"INTERNAL", "UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default=PATTERNS, options={"HIDDEN"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    hide_props_region: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    display_type: bpy.props.EnumProperty(
        items=(("DEFAULT", "", "", 0), ("THUMBNAIL", "", "", 3)),
        default="THUMBNAIL",
        options={"HIDDEN", "SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a job runs."""
        if runner.busy:
            cls.poll_message_set("A job is running. Wait for it or cancel it")
        return not runner.busy

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, as thumbnails."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take the chosen file as the photo."""
        context.scene.pamir.photo_path = self.filepath
        context.window_manager.pamir.clear()
        return {"FINISHED"}


class PAMIR_OT_clear_photo(bpy.types.Operator):
    """Choose no photo"""

    bl_idname = "pamir.clear_photo"
    bl_label = "Clear Photo"
    bl_options = {"INTERNAL", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a job runs."""
        if runner.busy:
            cls.poll_message_set("A job is running. Wait for it or cancel it")
        return not runner.busy

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget the photo."""
        context.scene.pamir.photo_path = ""
        context.window_manager.pamir.clear()
        return {"FINISHED"}
