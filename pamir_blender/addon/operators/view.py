"""Looking at a character: through the photo's camera, and part by part."""

from __future__ import annotations

import bpy

from ..active import active_part
from ..scene.camera_object import frame_photo

PARTS = (
    ("clothed", "Clothes", "The clothed mesh", "MATCLOTH", 0),
    ("body", "Body", "The SMPL body under the clothes", "USER", 1),
    ("armature", "Bones", "The 24 SMPL bones", "ARMATURE_DATA", 2),
)


class PAMIR_OT_view_photo(bpy.types.Operator):
    """Look through the photo's own camera. Sets the scene's camera and render resolution to the photo's"""

    bl_idname = "pamir.view_photo"
    bl_label = "View Through Photo"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a character that still has its camera."""
        if active_part(context, "camera") is None:
            cls.poll_message_set("Select a PaMIR character that has its camera first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Make the photo's camera the scene's, and look through it."""
        frame_photo(context.scene, active_part(context, "camera"))
        if context.space_data is not None and context.space_data.type == "VIEW_3D":
            context.space_data.region_3d.view_perspective = "CAMERA"
            region = next((r for r in context.area.regions if r.type == "WINDOW"), None)
            with context.temp_override(region=region):
                if bpy.ops.view3d.view_center_camera.poll():
                    bpy.ops.view3d.view_center_camera()  # as large as the view has room for
        return {"FINISHED"}


class PAMIR_OT_toggle_part(bpy.types.Operator):
    """Show or hide this part of the character, in the viewport and in renders"""

    bl_idname = "pamir.toggle_part"
    bl_label = "Show or Hide"
    bl_options = {"REGISTER", "UNDO"}

    part: bpy.props.EnumProperty(name="Part", items=PARTS)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a character in this scene."""
        if active_part(context, "armature") is None:
            cls.poll_message_set("Select a PaMIR character first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Flip the part's visibility."""
        obj = active_part(context, self.part)
        if obj is None or obj.name not in context.view_layer.objects:
            self.report({"ERROR"}, "This part of the character was deleted.")
            return {"CANCELLED"}
        hidden = not obj.hide_get()
        obj.hide_set(hidden)
        obj.hide_render = hidden
        return {"FINISHED"}
