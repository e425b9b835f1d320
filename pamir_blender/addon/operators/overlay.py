"""The body over the photo, and what to doubt, in colour."""

from __future__ import annotations

import bpy

from ...errors import PamirError
from ..active import active_collection, active_part
from ..ready import Explained, why_no_hypothesis
from ..scene import hypotheses, overlay, record

DISPLAYS = (
    (overlay.HIDDEN, "Off", "Hide the body", "HIDE_ON", 0),
    (overlay.WIRE, "Wire", "The body as wires over everything", "SHADING_WIRE", 1),
    (overlay.SOLID, "Solid", "The body as it is, behind the clothes", "SHADING_SOLID", 2),
    (overlay.XRAY, "X-Ray", "The body translucent over everything", "XRAY", 3),
)


class PAMIR_OT_show_body(bpy.types.Operator):
    """Show the SMPL body over the photo, so that a wrong limb is seen at a glance"""

    bl_idname = "pamir.show_body"
    bl_label = "Show Body"
    bl_options = {"REGISTER", "UNDO"}

    display: bpy.props.EnumProperty(name="Display", items=DISPLAYS)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a character with its body in this view layer."""
        body = active_part(context, "body")
        if body is None or body.name not in context.view_layer.objects:
            cls.poll_message_set("Select a PaMIR character that has its body first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Show it so."""
        overlay.show_body(active_part(context, "body"), self.display)
        return {"FINISHED"}


class PAMIR_OT_color_confidence(Explained, bpy.types.Operator):
    """Colour bones and body by how sure the pose is: red is a guess, green is sure"""

    bl_idname = "pamir.color_confidence"
    bl_label = "Colour by Confidence"
    bl_options = {"REGISTER", "UNDO"}

    @staticmethod
    def why_not(context: bpy.types.Context) -> str:
        """Only for a character that still has its armature."""
        reason = why_no_hypothesis(context)
        if not reason and active_part(context, "armature") is None:
            reason = "The armature was deleted. Undo that first"
        return reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Switch the colours on or off."""
        armature, body = active_part(context, "armature"), active_part(context, "body")
        if overlay.colors_shown(armature):
            overlay.uncolor(armature, body)
            return {"FINISHED"}
        try:
            info = record.info_of(hypotheses.current(active_collection(context)))
        except PamirError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        overlay.color_by_confidence(armature, body, info.confidence)
        return {"FINISHED"}
