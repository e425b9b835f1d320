"""Configuration dataclasses to and from plain JSON values."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

from .config_checks import require

T = TypeVar("T")


def config_to_dict(config: Any) -> dict[str, Any]:
    """Nested dict of JSON values of any configuration dataclass."""
    return _plain(dataclasses.asdict(config))


def config_from_dict(kind: type[T], values: Any) -> T:
    """The inverse of :func:`config_to_dict`.

    Raises WeightsError naming the offending entry if one is unknown, missing, mistyped or out of range.
    """
    config = _build(kind, values, kind.__name__)
    config.validate()
    return config


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _build(kind: type, values: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}
    optional = {f.name for f in dataclasses.fields(kind) if f.metadata.get("optional")}
    require(isinstance(values, dict), f"{where} is not a table")
    fits = names - optional <= set(values) <= names
    require(fits, f"{where} has entries {sorted(map(str, values))}, expected {sorted(names)}")
    given = names & set(values)
    return kind(**{name: _typed(hints[name], values[name], f"{where}.{name}") for name in given})


def _typed(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        require(isinstance(value, (list, tuple)), f"{where} is not a list")
        kinds = typing.get_args(hint)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        require(len(kinds) == len(value), f"{where} has {len(value)} entries")
        return tuple(_typed(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    accepted: type | types.UnionType = int | float if hint is float else hint
    ok = isinstance(value, accepted) and (hint is bool or not isinstance(value, bool))
    require(ok, f"{where}={value!r} is not of type {hint.__name__}")
    return float(value) if hint is float else value
