"""One collection per character, and what it remembers about how the character came about."""

from __future__ import annotations

import json
from pathlib import Path

import bpy

from ...contracts import LIMBS
from ...errors import RequestError
from .ownership import claim
from .result_info import ResultInfo

DOUBTFUL = 0.5
"""Limbs below this confidence are named as doubtful."""


def create_collection(photo: str, scene: bpy.types.Scene, owner: str) -> bpy.types.Collection:
    """A new collection ``PaMIR <photo name>`` in the scene."""
    collection = claim(bpy.data.collections.new(f"PaMIR {photo_name(photo)}".strip()), owner)
    scene.collection.children.link(collection)
    return collection


def photo_name(photo: str) -> str:
    """A photo's file name without its ending, as Blender can show it: odd bytes become question marks."""
    return Path(photo).stem.encode("utf-8", "replace").decode("utf-8")


def remember(collection: bpy.types.Collection, info: ResultInfo) -> None:
    """Store ``info`` on the collection, where it is saved with the .blend file."""
    collection["pamir_result"] = str(info.folder)
    collection["pamir_version"] = info.version
    collection["pamir_photo"] = info.photo
    collection["pamir_photo_digest"] = info.photo_digest
    collection["pamir_body_model"] = info.body_model
    collection["pamir_weights"] = json.dumps(info.weights)
    collection["pamir_confidence"] = json.dumps(info.confidence)
    collection["pamir_warnings"] = json.dumps(list(info.warnings))
    if info.silhouette_iou is not None:
        collection["pamir_silhouette_iou"] = info.silhouette_iou


def recall(collection: bpy.types.Collection) -> ResultInfo:
    """What :func:`remember` stored. Raises :class:`RequestError` if somebody edited it beyond reading."""
    try:
        return ResultInfo(
            folder=Path(collection.get("pamir_result", "")),
            version=str(collection.get("pamir_version", "")),
            photo=str(collection.get("pamir_photo", "")),
            photo_digest=str(collection.get("pamir_photo_digest", "")),
            body_model=str(collection.get("pamir_body_model", "")),
            weights=dict(json.loads(collection.get("pamir_weights", "{}"))),
            confidence={k: float(v) for k, v in json.loads(collection.get("pamir_confidence", "{}")).items()},
            warnings=tuple(str(w) for w in json.loads(collection.get("pamir_warnings", "[]"))),
            silhouette_iou=collection.get("pamir_silhouette_iou"),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise RequestError(
            f"The custom properties of the collection {collection.name} were changed and cannot be read."
        ) from error


def doubtful_limbs(confidence: dict[str, float]) -> list[str]:
    """Readable names of the limbs whose pose should not be trusted."""
    return [limb_label(limb) for limb in LIMBS if confidence.get(limb, 1.0) < DOUBTFUL]


def limb_label(limb: str) -> str:
    """``left_arm`` to ``Left arm``."""
    return limb.replace("_", " ").capitalize()
