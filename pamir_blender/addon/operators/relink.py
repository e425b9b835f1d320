"""Choosing a photo or a mask again that is no longer where it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import bpy

from ...errors import PamirError
from ..active import active_collection
from ..ready import Explained, why_no_change
from ..scene import hypotheses, record
from ..scene.camera_object import relink_photo
from .choose_photo import PATTERNS


class PAMIR_OT_relink_photo(Explained, bpy.types.Operator):
    """Say where the file lies now. A different photo is taken too, with a warning"""

    bl_idname = "pamir.relink_photo"
    bl_label = "Choose the Photo Again"
    bl_options = {"INTERNAL", "UNDO"}

    what: bpy.props.EnumProperty(items=(("photo", "Photo", ""), ("mask", "Mask", "")))
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default=PATTERNS, options={"HIDDEN"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    why_not = staticmethod(why_no_change)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser, as thumbnails."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remember the new place for all hypotheses of the character."""
        collection = active_collection(context)
        path = Path(bpy.path.abspath(self.filepath)).absolute()
        try:
            entry = hypotheses.current(collection)
            options, info = record.options_of(entry), record.info_of(entry)
            mask = options.get("mask")
            before = options.get("photo") or info.photo
            photo = path if self.what == "photo" else Path(before)
            mask = path if self.what == "mask" else Path(mask) if mask else None
            same = _is_same(photo, mask, info.photo_digest)
            _digest(path)  # it can be read
            for each in collection.pamir.hypotheses:
                record.relink(each, self.what, str(path))
        except (PamirError, OSError) as error:
            self.report({"ERROR"}, f"{path.name} cannot be used: {error}")
            return {"CANCELLED"}
        if self.what == "photo":
            collection["pamir_photo"] = str(path)
            relink_photo(collection, before, str(path))
        if info.photo_digest and same is False:
            text = f"This is a different {self.what} from the one the character was made from."
            self.report({"WARNING"}, text)
        elif same is None:
            self.report({"WARNING"}, "Whether it is the same file shows once both photo and mask are found.")
        else:
            self.report({"INFO"}, f"The {self.what} is {path}.")
        context.window_manager.pamir.clear()
        return {"FINISHED"}


def _is_same(photo: Path, mask: Path | None, digest: str) -> bool | None:
    """Whether photo and mask are those of ``digest`` (see :class:`..contracts.Photo`); None: not known."""
    if not photo.is_file() or (mask is not None and not mask.is_file()):
        return None
    found = _digest(photo)
    if mask is not None:
        found = hashlib.sha256((found + _digest(mask)).encode()).hexdigest()
    return found == digest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
