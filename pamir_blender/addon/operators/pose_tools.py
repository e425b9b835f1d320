"""Changing the pose before it is regenerated: flip a limb in depth, go back to the hypothesis."""

from __future__ import annotations

import bpy

from ...depth_flip import FLIP_LIMBS, flip_depth
from ...errors import PamirError
from ..active import active_collection, active_part
from ..ready import Explained, why_no_change, why_no_pose
from ..scene import hypotheses, record
from ..scene.collection import limb_label
from ..scene.pose import read_pose, set_joints

LIMBS = tuple((name, limb_label(name), "") for name in FLIP_LIMBS)


class PAMIR_OT_flip_depth(Explained, bpy.types.Operator):
    """Mirror this limb in depth: the other pose that looks the same in the photo. Regenerate afterwards"""

    bl_idname = "pamir.flip_depth"
    bl_label = "Flip Depth"
    bl_options = {"REGISTER", "UNDO"}

    limb: bpy.props.EnumProperty(name="Limb", items=LIMBS)

    why_not = staticmethod(why_no_pose)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Turn the limb's bones."""
        armature = active_part(context, "armature")
        try:
            follow = record.follow_of(hypotheses.current(active_collection(context)))
            pose = read_pose(armature).pose
            set_joints(armature, flip_depth(pose, follow.joints_rest, self.limb), FLIP_LIMBS[self.limb])
        except PamirError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class PAMIR_OT_reset_pose(Explained, bpy.types.Operator):
    """Put bones and body sliders back to the selected hypothesis"""

    bl_idname = "pamir.reset_pose"
    bl_label = "Reset to Hypothesis"
    bl_options = {"REGISTER", "UNDO"}

    why_not = staticmethod(why_no_change)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Follow the hypothesis again."""
        collection = active_collection(context)
        uid = collection.pamir.current
        index = next(i for i, h in enumerate(collection.pamir.hypotheses) if h.uid == uid)
        try:
            hypotheses.activate(collection, index)
        except PamirError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}
