"""Result folders: importing one again, and showing where one lies."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...errors import PamirError
from ...plain_files import is_folder
from ...worker.protocol import new_job
from ..active import active_collection
from ..preferences import settings
from ..scene.collection import recall
from ..scene.import_result import import_character, select_character
from ..scene.read_result import read_result


class PAMIR_OT_import_result(bpy.types.Operator):
    """Import the character of an existing result folder, without reconstructing it again"""

    bl_idname = "pamir.import_result"
    bl_label = "Import Result"
    bl_options = {"REGISTER", "UNDO"}

    directory: bpy.props.StringProperty(name="Result Folder", subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser at the results folder."""
        self.directory = str(settings().results_folder)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Import the folder as a new character."""
        character = new_job()
        try:
            result = read_result(Path(bpy.path.abspath(self.directory)))
            import_character(result, context.scene, character)
        except PamirError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        select_character(character, context)
        return {"FINISHED"}


class PAMIR_OT_open_result_folder(bpy.types.Operator):
    """Show the character's result folder in the system's file manager"""

    bl_idname = "pamir.open_result_folder"
    bl_label = "Open Result Folder"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a character whose folder is still there."""
        collection = active_collection(context)
        if collection is None:
            cls.poll_message_set("Select a PaMIR character first")
        elif not is_folder(str(collection.get("pamir_result", ""))):
            cls.poll_message_set("The result folder no longer exists")
        else:
            return True
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Open the folder."""
        try:
            folder = recall(active_collection(context)).folder
        except PamirError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return bpy.ops.wm.path_open(filepath=str(folder))
