"""Getting a backend from inside Blender: unpack what the zip brought, or make an environment."""

from __future__ import annotations

import time
from pathlib import Path

import bpy

from ...errors import PamirError
from .. import findings
from ..backend import managed, places, task
from ..backend.bundle import mismatch, read_bundle
from ..backend.unpack import remove_others, unpack
from ..backend.verify import check_backend
from ..jobs import runner
from ..preferences import get_preferences, redraw_interface, user_folder

_LOOK_SECONDS = 0.2


def online_access() -> bool:
    """Whether Blender's user allows add-ons to use the network."""
    return bpy.app.online_access


class _SetupOperator:
    """Mixin: starts one :class:`task.SetupTask`; with a window it goes on by itself, without one it waits."""

    def start_task(self, setup: task.SetupTask) -> set[str]:
        try:
            task.start(setup)
        except PamirError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not bpy.app.background:
            # A timer and not a modal operator: opening another file must not stop a long download.
            bpy.app.timers.register(_look, first_interval=_LOOK_SECONDS, persistent=True)
            return {"FINISHED"}
        while setup.running:
            time.sleep(_LOOK_SECONDS / 4)
        if setup.error is not None:
            self.report({"ERROR"}, str(setup.error))
            return {"CANCELLED"}
        self.report({"INFO"}, "The backend is ready.")
        return {"FINISHED"}


def _look() -> float | None:
    redraw_interface()
    return _LOOK_SECONDS if task.running() is not None else None


class PAMIR_OT_unpack_backend(_SetupOperator, bpy.types.Operator):
    """Unpack the backend that came with this zip into the add-on's own folder. No network is used"""

    bl_idname = "pamir.unpack_backend"
    bl_label = "Unpack Backend"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a bundle that fits, and when nothing runs."""
        try:
            bundle = read_bundle(places.bundle_folder())
            reason = "This zip came without a backend" if bundle is None else mismatch(bundle)
        except PamirError as error:
            reason = str(error)
        return _allowed(cls, reason)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start unpacking."""
        bundle, user = read_bundle(places.bundle_folder()), user_folder()
        target, python = places.unpacked_folder(user, bundle), places.blender_python()

        def work(setup: task.SetupTask) -> None:
            def check(folder: Path) -> None:
                findings.keep(check_backend(python, folder, setup.cancelled))

            unpack(bundle, target, setup.progress, setup.cancelled, check)
            remove_others(target.parent, target)

        return self.start_task(task.SetupTask("Unpacking the backend", work))


_choices: list[tuple[str, str, str]] = []


def _backend_choices(self: bpy.types.Operator, context: bpy.types.Context | None) -> list:
    # Blender does not keep the strings of a dynamic list alive.
    _choices[:] = [
        (
            name,
            choice.label,
            f"Fetches about {choice.download / 1e9:.1f} GB; takes about {choice.disk / 1e9:.1f} GB on disk",
        )
        for name, choice in managed.CHOICES.items()
    ]
    return _choices


class PAMIR_OT_create_environment(_SetupOperator, bpy.types.Operator):
    """Make a Python environment for the backend and fill it from pypi.org and pytorch.org"""

    bl_idname = "pamir.create_environment"
    bl_label = "Download Backend..."
    bl_options = {"INTERNAL"}

    backend: bpy.props.EnumProperty(
        name="For", description="What the networks will run on", items=_backend_choices
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only when the user lets Blender use the network, and when nothing runs."""
        reason = (
            ""
            if online_access()
            else (
                "Blender may not use the network. "
                "Turn on Allow Online Access in Preferences > System > Network"
            )
        )
        return _allowed(cls, reason)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask first: it is a large download."""
        self.backend = managed.recommended()
        return context.window_manager.invoke_props_dialog(self, width=380, confirm_text="Download")

    def draw(self, context: bpy.types.Context) -> None:
        """What it costs, and where it goes."""
        layout = self.layout
        layout.row().prop(self, "backend", expand=True)
        choice = managed.CHOICES[self.backend]
        column = layout.column(align=True)
        column.label(text=f"Fetches about {choice.download / 1e9:.1f} GB from pypi.org and pytorch.org.")
        column.label(text=f"Takes about {choice.disk / 1e9:.1f} GB in {managed_folder()}")
        if self.backend == "cuda" and not managed.nvidia_driver():
            layout.label(text="No NVIDIA driver is seen on this computer.", icon="ERROR")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the download."""
        backend, target, base = (
            self.backend or managed.recommended(),
            managed_folder(),
            places.blender_python(),
        )
        log = user_folder() / "logs" / time.strftime("setup-%Y%m%d-%H%M%S.log")
        runner.shutdown()  # a worker of the environment that is to be replaced

        def work(setup: task.SetupTask) -> None:
            def check(python: Path) -> None:
                findings.keep(check_backend(python, None, setup.cancelled))

            managed.create(base, target, backend, setup.progress, setup.cancelled, log, check)

        return self.start_task(task.SetupTask("Making the backend's environment", work))


class PAMIR_OT_cancel_setup(bpy.types.Operator):
    """Stop setting up the backend. What is done is kept, and the next try goes on from there"""

    bl_idname = "pamir.cancel_setup"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while it runs."""
        if task.running() is None:
            cls.poll_message_set("Nothing is being set up")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the task to stop."""
        if (setup := task.running()) is not None:
            setup.cancel()
            setup.message = "Cancelling"
        return {"FINISHED"}


class PAMIR_OT_show_network_preferences(bpy.types.Operator):
    """Open Preferences > System > Network, where Allow Online Access is"""

    bl_idname = "pamir.show_network_preferences"
    bl_label = "Network Preferences"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Needs a window."""
        if bpy.app.background:
            cls.poll_message_set("There is no window")
        return not bpy.app.background

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Open that page."""
        return bpy.ops.screen.userpref_show(section="SYSTEM")


class PAMIR_OT_use_processor(bpy.types.Operator):
    """Let the networks run on the processor from now on: slower, and not bound by the graphics memory"""

    bl_idname = "pamir.use_processor"
    bl_label = "Use the Processor"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a job runs."""
        if runner.busy:
            cls.poll_message_set("A job is running. Wait for it or cancel it")
        return not runner.busy

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Change the preference."""
        get_preferences().device = "cpu"
        context.window_manager.pamir.clear()
        return {"FINISHED"}


def managed_folder() -> Path:
    """Where the add-on's own environment is or will be."""
    return places.managed_folder(user_folder())


def _allowed(cls: type, reason: str) -> bool:
    if not reason and task.running() is not None:
        reason = "The backend is being set up"
    if not reason and runner.busy:
        reason = "A job is running. Wait for it or cancel it"
    if reason:
        cls.poll_message_set(reason)
    return not reason


def register() -> None:
    """Nothing to hang up; see :func:`unregister`."""


def unregister() -> None:
    """Stop a running task before the add-on goes away."""
    read_bundle.cache_clear()
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    if (setup := task.running()) is not None:
        setup.cancel()
        setup.join(5.0)
