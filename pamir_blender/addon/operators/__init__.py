"""One operator (family) per file."""

from __future__ import annotations

from . import (
    cancel,
    check_backend,
    choose_photo,
    copy_report,
    export_glb,
    reconstruct,
    results,
    setup_backend,
    view,
)

CLASSES = (
    reconstruct.PAMIR_OT_reconstruct,
    cancel.PAMIR_OT_cancel,
    check_backend.PAMIR_OT_check_backend,
    copy_report.PAMIR_OT_copy_report,
    setup_backend.PAMIR_OT_unpack_backend,
    setup_backend.PAMIR_OT_create_environment,
    setup_backend.PAMIR_OT_cancel_setup,
    setup_backend.PAMIR_OT_show_network_preferences,
    setup_backend.PAMIR_OT_use_processor,
    choose_photo.PAMIR_OT_choose_photo,
    choose_photo.PAMIR_OT_clear_photo,
    results.PAMIR_OT_import_result,
    results.PAMIR_OT_open_result_folder,
    view.PAMIR_OT_view_photo,
    view.PAMIR_OT_toggle_part,
    export_glb.PAMIR_OT_export_glb,
)
