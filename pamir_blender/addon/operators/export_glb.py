"""Exporting the character with Blender's own glTF exporter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

from ..active import active_character, active_collection
from ..scene import ownership


class PAMIR_OT_export_glb(bpy.types.Operator):
    """Export the character's clothed mesh and armature as one .glb file"""

    bl_idname = "pamir.export_glb"
    bl_label = "Export GLB"
    bl_options = {"INTERNAL"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.glb", options={"HIDDEN"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    with_body: bpy.props.BoolProperty(
        name="SMPL Body", description="Export the body under the clothes too", default=False
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a character with its armature and clothes, outside of Edit Mode."""
        character = active_character(context)
        if not character or len(_parts(character, ("armature", "clothed"))) < 2:
            cls.poll_message_set("Select a PaMIR character with its armature and clothed mesh first")
        elif context.mode not in {"OBJECT", "POSE"}:
            cls.poll_message_set("Leave the present mode for Object Mode first")
        else:
            return True
        return False

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        if not self.filepath:
            stem = active_collection(context).name.removeprefix("PaMIR ") or "character"
            self.filepath = str(Path(bpy.path.abspath("//") or Path.home()) / f"{stem}.glb")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Export; selection and visibility are as before afterwards."""
        if not self.filepath:
            self.report({"ERROR"}, "No file to export to was given.")
            return {"CANCELLED"}
        path = Path(bpy.path.abspath(self.filepath)).with_suffix(".glb")
        roles = ("armature", "clothed", "body") if self.with_body else ("armature", "clothed")
        parts = _parts(active_character(context), roles)
        try:
            with _only_selected(context, parts):
                bpy.ops.export_scene.gltf(
                    filepath=str(path),
                    export_format="GLB",
                    use_selection=True,
                    export_animations=False,
                    export_cameras=False,
                    export_lights=False,
                    export_morph=self.with_body,
                )
        except RuntimeError as error:
            self.report({"ERROR"}, f"Blender's glTF exporter failed: {error}".strip())
            return {"CANCELLED"}
        self.report({"INFO"}, f"Exported {path}")
        return {"FINISHED"}


def _parts(character: str, roles: tuple[str, ...]) -> list[bpy.types.Object]:
    found = (ownership.find_object(character, role) for role in roles)
    return [part for part in found if part is not None]


@contextmanager
def _only_selected(context: bpy.types.Context, objects: list[bpy.types.Object]) -> Iterator[None]:
    """Exactly these objects visible and selected for a while; everything as before afterwards."""
    layer = context.view_layer
    present = [obj for obj in objects if obj.name in layer.objects]
    selected = {obj.name for obj in layer.objects if obj.select_get()}
    hidden = {obj.name for obj in present if obj.hide_get()}
    active = layer.objects.active
    try:
        for obj in present:
            obj.hide_set(False)
        for obj in layer.objects:
            obj.select_set(obj in present)
        yield
    finally:
        for obj in present:
            obj.hide_set(obj.name in hidden)
        for obj in layer.objects:
            obj.select_set(obj.name in selected)
        layer.objects.active = active
