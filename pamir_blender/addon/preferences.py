"""What is set once per computer: the worker's Python, the device, models and folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy

from .backend.places import Found, find_backend

PACKAGE = __package__.rpartition(".")[0]
"""The add-on's name to Blender: ``bl_ext.REPOSITORY.pamir_blender``, or plain ``pamir_blender`` elsewhere."""

DEVICES = (
    ("auto", "Automatic", "The graphics card if PyTorch can use it, the processor otherwise"),
    ("cpu", "Processor", "Always the processor"),
    ("cuda", "NVIDIA GPU", "The graphics card; an error if PyTorch cannot use it"),
)
SIZES = (
    ("lite", "Lite", "The networks that come with the add-on; seconds on a laptop"),
    ("paper", "Paper", "The published paper's full-size networks; needs your own weights folder"),
)
BODY_FROM = (
    ("landmarks", "Landmarks", "From the landmarks that the detector finds in the photo"),
    ("graphcmr", "GraphCMR", "By the GraphCMR network of your weights folder"),
    ("both", "Both", "From the landmarks, with GraphCMR's depth beside them; needs GraphCMR weights"),
)


class PAMIR_AP_preferences(bpy.types.AddonPreferences):
    """The add-on's preferences page."""

    bl_idname = PACKAGE

    worker_python: bpy.props.StringProperty(
        name="Worker's Python",
        description="The Python that has PyTorch and the rest of the backend installed",
        subtype="FILE_PATH",
    )
    device: bpy.props.EnumProperty(name="Device", description="Where the networks run", items=DEVICES)
    size: bpy.props.EnumProperty(name="Networks", description="Which networks to use", items=SIZES)
    body_model: bpy.props.StringProperty(
        name="Body Model",
        description="Your own licensed SMPL file (.npz or .pkl). Empty: the open body of the add-on",
        subtype="FILE_PATH",
    )
    weights_folder: bpy.props.StringProperty(
        name="Weights Folder",
        description="A folder with network weights of your own. Empty: those that come with the add-on",
        subtype="DIR_PATH",
    )
    body_from: bpy.props.EnumProperty(
        name="Body From", description="What finds the body in a photo", items=BODY_FROM
    )
    results_folder: bpy.props.StringProperty(
        name="Results Folder",
        description="Where results are kept. Empty: the add-on's own folder in Blender's user files",
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the page and what the last backend check found."""
        from .panels_backend import draw_findings
        from .panels_setup import draw_setup

        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        default = default_backend()
        place = str(default.packages or default.python)
        column.prop(self, "worker_python", placeholder=place or "Not found: choose a Python")
        column.prop(self, "device")
        column.separator()
        column.prop(self, "size")
        column.prop(self, "weights_folder", placeholder="Comes with the add-on")
        row = column.row()
        # No GraphCMR weights come with the add-on, so without a folder there is nothing to choose.
        row.enabled = bool(self.weights_folder) or self.body_from != "landmarks"
        row.prop(self, "body_from")
        column.prop(self, "body_model", placeholder="Open body, comes with the add-on")
        column.separator()
        column.prop(self, "results_folder", placeholder=str(default_results_folder()))
        column.separator()
        draw_setup(layout, context, in_preferences=True)
        row = layout.row()
        row.scale_y = 1.3
        row.operator("pamir.check_backend", icon="CHECKMARK")
        row.operator("pamir.copy_report", icon="COPYDOWN")
        draw_findings(layout, context)


@dataclass
class Defaults:
    """The same settings where Blender keeps none: the package registered by a script, not as an add-on."""

    worker_python: str = ""
    device: str = "auto"
    size: str = "lite"
    body_model: str = ""
    weights_folder: str = ""
    body_from: str = "landmarks"
    results_folder: str = ""


_defaults = Defaults()


def get_preferences() -> PAMIR_AP_preferences | Defaults:
    """The add-on's preferences, or one shared :class:`Defaults` when the package is no add-on here."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    if addon is not None and addon.preferences is not None:
        return addon.preferences
    return _defaults


@dataclass(frozen=True)
class Settings:
    """The preferences with every empty field filled in and every path absolute."""

    worker_python: str
    worker_packages: Path | None
    device: str
    size: str
    body_model: str | None
    weights_folder: str | None
    body_from: str
    results_folder: Path
    log_folder: Path


def settings() -> Settings:
    """The present :class:`Settings`; ``worker_python`` is empty when none is set or found."""
    preferences = get_preferences()
    chosen = _absolute(preferences.worker_python)
    backend = Found(chosen) if chosen else default_backend()
    return Settings(
        worker_python=backend.python,
        worker_packages=backend.packages,
        device=preferences.device,
        size=preferences.size,
        body_model=_absolute(preferences.body_model) or None,
        weights_folder=_absolute(preferences.weights_folder) or None,
        body_from=preferences.body_from,
        results_folder=Path(_absolute(preferences.results_folder) or default_results_folder()),
        log_folder=user_folder() / "logs",
    )


def default_backend() -> Found:
    """The backend that is used when no Python is chosen; its ``python`` is empty if there is none."""
    return find_backend(user_folder())


def default_results_folder() -> Path:
    """The add-on's own folder for results; it survives upgrades of the add-on."""
    return user_folder() / "results"


def user_folder() -> Path:
    """Where the add-on may write; not created here."""
    if PACKAGE.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(PACKAGE))
    return Path(bpy.utils.user_resource("DATAFILES", path=PACKAGE))


def redraw_interface() -> None:
    """Redraw what shows progress: the 3D views' sidebars and the preferences."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"VIEW_3D", "PREFERENCES"}:
                area.tag_redraw()


def _absolute(path: str) -> str:
    # Not Path.resolve(): it would follow a virtual environment's link out to the Python it was made from.
    return str(Path(bpy.path.abspath(path)).absolute()) if path else ""


def register() -> None:
    """Register the preferences page."""
    bpy.utils.register_class(PAMIR_AP_preferences)


def unregister() -> None:
    """Remove the preferences page."""
    bpy.utils.unregister_class(PAMIR_AP_preferences)
