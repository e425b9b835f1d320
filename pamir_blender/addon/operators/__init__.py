"""One operator (family) per file."""

from __future__ import annotations

from . import (
    cancel,
    check_backend,
    choose_photo,
    export_glb,
    hypotheses,
    live_preview,
    overlay,
    pose_tools,
    reconstruct,
    regenerate,
    relink,
    results,
    view,
)

CLASSES = (
    reconstruct.PAMIR_OT_reconstruct,
    cancel.PAMIR_OT_cancel,
    check_backend.PAMIR_OT_check_backend,
    choose_photo.PAMIR_OT_choose_photo,
    choose_photo.PAMIR_OT_clear_photo,
    regenerate.PAMIR_OT_regenerate,
    regenerate.PAMIR_OT_optimise_rest,
    regenerate.PAMIR_OT_suggest,
    regenerate.PAMIR_OT_recompute,
    hypotheses.PAMIR_OT_solo_hypothesis,
    hypotheses.PAMIR_OT_compare_hypotheses,
    hypotheses.PAMIR_OT_duplicate_hypothesis,
    hypotheses.PAMIR_OT_delete_hypothesis,
    live_preview.PAMIR_OT_live_preview,
    overlay.PAMIR_OT_show_body,
    overlay.PAMIR_OT_color_confidence,
    pose_tools.PAMIR_OT_flip_depth,
    pose_tools.PAMIR_OT_reset_pose,
    relink.PAMIR_OT_relink_photo,
    results.PAMIR_OT_import_result,
    results.PAMIR_OT_open_result_folder,
    view.PAMIR_OT_view_photo,
    view.PAMIR_OT_toggle_part,
    export_glb.PAMIR_OT_export_glb,
)
