"""The list of a character's hypotheses: adding, following, showing, copying and deleting one."""

from __future__ import annotations

from contextlib import suppress

import bpy

from ...errors import RequestError, ResultError
from . import follow, hypothesis_mesh, overlay, ownership, preview_object, record, thumbnail
from .clothed_object import create_clothed
from .collection import remember
from .read_result import Result
from .rest_frame import rest_frame

GAP = 0.15
"""Metres between hypotheses shown side by side."""


def find(collection: bpy.types.Collection, uid: str) -> bpy.types.PropertyGroup | None:
    """The record of a hypothesis."""
    return next((h for h in collection.pamir.hypotheses if h.uid == uid), None)


def current(collection: bpy.types.Collection) -> bpy.types.PropertyGroup | None:
    """The record of the hypothesis that the armature follows."""
    return find(collection, collection.pamir.current)


def add(
    collection: bpy.types.Collection, result: Result, uid: str, name: str = "", *, active: bool = True
) -> None:
    """Add a result as the hypothesis ``uid`` and, if ``active``, let the armature follow it.

    On any error the character is as it was before, and the error goes on.
    """
    owner = ownership.character_of(collection)
    armature = ownership.find_object(owner, "armature")
    if armature is None:
        raise ResultError(f"The armature of {collection.name} was deleted. Undo that, or use Import Result.")
    known = _blocks(owner)
    followed = collection.pamir.current
    try:
        obj = _create(collection, result, armature, owner, uid)
        made = collection.pamir.hypotheses.add()
        record.write(made, result, uid, name or _name(collection, result))
        made.picture = thumbnail.load(result.info.folder, owner)
        hypothesis_mesh.let_rest(obj)
        if active or not followed:
            activate(collection, len(collection.pamir.hypotheses) - 1)
    except Exception:
        bpy.data.batch_remove([b for b in ownership.owned(owner) if (type(b), b.name_full) not in known])
        _forget(collection, uid)
        if followed and collection.pamir.current != followed:
            with suppress(Exception):  # the first error is the one to be told
                activate(collection, _index(collection, followed))
        raise
    arrange(collection)


def _create(
    collection: bpy.types.Collection, result: Result, armature: bpy.types.Object, owner: str, uid: str
) -> bpy.types.Object:
    known = _blocks(owner)
    frame = rest_frame(result.body)
    obj = create_clothed(_object_name(collection), result.clothed, frame, armature, owner)
    hypothesis_mesh.remember_posed(obj, result.clothed, result.body)
    body = ownership.find_object(owner, "body")
    if body is not None:
        follow.drop_corrective(body, uid)
        follow.keep_corrective(body, result.body.pose_corrective, uid)
    for block in ownership.owned(owner):
        if (type(block), block.name_full) not in known:
            block[hypothesis_mesh.HYPOTHESIS] = uid
    collection.objects.link(obj)
    return obj


def _blocks(owner: str) -> set[tuple[type, str]]:
    return {(type(block), block.name_full) for block in ownership.owned(owner)}


def activate(collection: bpy.types.Collection, index: int) -> None:
    """Let armature, body and trust follow the hypothesis at ``index``.

    Raises :class:`RequestError`, with everything as before, while the armature is in Edit Mode, when it lacks
    bones, or when the record is unreadable.
    """
    character, owner = collection.pamir, ownership.character_of(collection)
    wanted = character.hypotheses[index]
    target, info = record.follow_of(wanted), record.info_of(wanted)
    armature, body = ownership.find_object(owner, "armature"), ownership.find_object(owner, "body")
    if armature is None:
        raise RequestError(f"The armature of {collection.name} was deleted. Undo that first.")
    if armature.mode == "EDIT":
        raise RequestError("Leave the armature's Edit Mode first.")
    follow.armature_follows(armature, body, target, wanted.uid)
    before, after = (hypothesis_mesh.mesh_of(collection, u) for u in (character.current, wanted.uid))
    if before is not None and before != after:
        hidden = before.hide_get()
        hypothesis_mesh.let_rest(before)
        if after is not None:
            with suppress(RuntimeError):  # not in this view layer
                before.hide_set(False)
                after.hide_set(hidden)
    if after is not None:
        hypothesis_mesh.let_wear(after)
    character.current = wanted.uid
    character.turned = (0.0, 0.0)
    character.yaw = character.pitch = 0.0
    character.active_index = index
    remember(collection, info)
    if overlay.colors_shown(armature):
        overlay.color_by_confidence(armature, body, info.confidence)
    preview_object.remove(owner)
    arrange(collection)


def arrange(collection: bpy.types.Collection) -> None:
    """Show and place every hypothesis as the list, solo, compare and the live preview want it."""
    character = collection.pamir
    previewed = preview_object.find(ownership.character_of(collection)) is not None
    edge = None
    for entry in character.hypotheses:
        obj = hypothesis_mesh.mesh_of(collection, entry.uid)
        if obj is None:
            continue
        worn = entry.uid == character.current
        shown = not previewed if worn else (entry.shown or character.compare)
        obj.hide_viewport = not shown
        obj.hide_render = obj.hide_get() if worn and shown else not shown
        if worn or not character.compare:
            obj.delta_location = (0.0, 0.0, 0.0)
    if character.compare:
        edge = _right_edge(collection, character.current)
        for entry in character.hypotheses:
            obj = hypothesis_mesh.mesh_of(collection, entry.uid)
            points = hypothesis_mesh.posed_points(obj) if obj is not None else None
            if entry.uid == character.current or points is None:
                continue
            low, high = float(points[:, 0].min()), float(points[:, 0].max())
            obj.delta_location = (edge + GAP - low, 0.0, 0.0)
            edge += GAP + high - low


def _right_edge(collection: bpy.types.Collection, uid: str) -> float:
    """Where the followed hypothesis ends on the right, metres in the armature's space."""
    obj = hypothesis_mesh.mesh_of(collection, uid)
    points = hypothesis_mesh.posed_points(obj) if obj is not None else None
    return float(points[:, 0].max()) if points is not None else 0.5


def renew(collection: bpy.types.Collection, result: Result, uid: str) -> None:
    """Point the hypothesis ``uid`` at a result made anew of the same body; a deleted mesh comes back."""
    entry = find(collection, uid)
    if entry is None:
        raise ResultError(f"The hypothesis is gone. Its new files are in {result.info.folder}.")
    owner = ownership.character_of(collection)
    armature = ownership.find_object(owner, "armature")
    if hypothesis_mesh.mesh_of(collection, uid) is None and armature is not None:
        known = _blocks(owner)
        try:
            obj = _create(collection, result, armature, owner, uid)
        except Exception:
            bpy.data.batch_remove([b for b in ownership.owned(owner) if (type(b), b.name_full) not in known])
            raise
        if uid != collection.pamir.current:
            hypothesis_mesh.let_rest(obj)
    entry.folder = str(result.info.folder)
    if entry.picture is None:
        entry.picture = thumbnail.load(result.info.folder, owner)
    if uid == collection.pamir.current:
        remember(collection, record.info_of(entry))
    arrange(collection)


def keep_only(collection: bpy.types.Collection, uids: list[str]) -> None:
    """Take back hypotheses that were added while none of them was followed."""
    for uid in [entry.uid for entry in collection.pamir.hypotheses if entry.uid not in uids]:
        delete(collection, _index(collection, uid))


def duplicate(collection: bpy.types.Collection, index: int, uid: str) -> None:
    """Add a copy of the hypothesis at ``index``, with a mesh of its own, and follow it."""
    owner, entries = ownership.character_of(collection), collection.pamir.hypotheses
    source, name = entries[index].uid, entries[index].name
    obj = hypothesis_mesh.mesh_of(collection, source)
    if obj is not None:
        twin = obj.copy()
        twin.data = obj.data.copy()
        for block in (twin, twin.data):
            block[hypothesis_mesh.HYPOTHESIS] = uid
        collection.objects.link(twin)
        hypothesis_mesh.let_rest(twin)
    body = ownership.find_object(owner, "body")
    if body is not None:
        follow.copy_corrective(body, source, uid)
    made = entries.add()
    record.copy(entries[index], made, uid, _unique(collection, name))
    activate(collection, len(entries) - 1)


def delete(collection: bpy.types.Collection, index: int) -> None:
    """Delete the hypothesis at ``index``; if it was followed, its neighbour is followed then.

    The only one cannot be deleted (:class:`RequestError`).
    """
    entries = collection.pamir.hypotheses
    if len(entries) < 2:
        raise RequestError("This is the only hypothesis. Delete the character's collection instead.")
    uid, owner = entries[index].uid, ownership.character_of(collection)
    if uid == collection.pamir.current:
        activate(collection, index + 1 if index + 1 < len(entries) else index - 1)
    followed = collection.pamir.current
    _forget(collection, uid)
    hypothesis_mesh.remove(owner, uid)
    body = ownership.find_object(owner, "body")
    if body is not None:
        follow.drop_corrective(body, uid)
    collection.pamir.active_index = _index(collection, followed)
    arrange(collection)


def solo(collection: bpy.types.Collection, index: int) -> None:
    """Follow the hypothesis at ``index`` and show no other."""
    collection.pamir.compare = False
    for entry in collection.pamir.hypotheses:
        entry.shown = False
    activate(collection, index)


def _forget(collection: bpy.types.Collection, uid: str) -> None:
    index = _index(collection, uid)
    if index >= 0:
        collection.pamir.hypotheses.remove(index)


def _index(collection: bpy.types.Collection, uid: str) -> int:
    return next((i for i, h in enumerate(collection.pamir.hypotheses) if h.uid == uid), -1)


def _object_name(collection: bpy.types.Collection) -> str:
    return collection.name.removeprefix("PaMIR ").strip() or "PaMIR"


def _name(collection: bpy.types.Collection, result: Result) -> str:
    info = result.info
    if info.kind == "estimate":
        return _unique(collection, "Estimate")
    return _unique(collection, "Suggestion" if info.kind == "suggested" else "Pose")


def _unique(collection: bpy.types.Collection, name: str) -> str:
    taken = {entry.name for entry in collection.pamir.hypotheses}
    stem = name.rsplit(" ", 1)[0] if name.rsplit(" ", 1)[-1].isdigit() else name
    number = 2
    while name in taken:
        name, number = f"{stem} {number}", number + 1
    return name
