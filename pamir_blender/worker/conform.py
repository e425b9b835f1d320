"""Values out of JSON as the types that a dataclass is annotated with, or a refusal that says where."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal

from ..errors import RequestError


def require(condition: bool, message: str) -> None:
    """Refuse with :class:`RequestError` unless ``condition`` holds."""
    if not condition:
        raise RequestError(message)


def conform(value: Any, hint: Any, where: str) -> Any:
    """``value`` as the annotated type, or :class:`RequestError`. Booleans are no numbers here."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (inner,) = (a for a in arguments if a is not type(None))
        return conform(value, inner, where)
    if origin is Literal:
        require(value in arguments, f"{where} must be one of {', '.join(arguments)}, not {value!r:.40}.")
        return value
    if origin is tuple and arguments[-1] is Ellipsis:
        require(isinstance(value, list), f"{where} must be a list.")
        return tuple(conform(v, arguments[0], where) for v in value)
    if origin is tuple:
        count = len(arguments)
        require(isinstance(value, list) and len(value) == count, f"{where} must be a list of {count}.")
        return tuple(conform(v, a, where) for v, a in zip(value, arguments, strict=True))
    if origin is dict:
        require(isinstance(value, dict), f"{where} must be an object.")
        return value
    if dataclasses.is_dataclass(hint):
        require(isinstance(value, dict), f"{where} must be an object.")
        return build(hint, value, where)
    if hint is float and type(value) in (int, float):
        # JSON can spell numbers that no float holds, such as 1e999.
        require(abs(value) < 1e300, f"{where} is too large a number.")
        return float(value)
    require(type(value) is hint, f"{where} must be of type {hint.__name__}, not {value!r:.40}.")
    return value


def build(cls: type, record: dict[str, Any], where: str) -> Any:
    """The dataclass ``cls`` with the fields in ``record``; :class:`RequestError` for any that do not fit."""
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(record) - set(hints))
    require(not unknown, f"{where} has no field {', '.join(unknown)[:80]}.")
    values = {key: conform(value, hints[key], f"{where}.{key}") for key, value in record.items()}
    try:
        return cls(**values)
    except TypeError as error:  # a field without default is missing
        raise RequestError(f"{where} is incomplete: {error}") from None
