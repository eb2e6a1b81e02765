"""Finds types that no payload can have, and names class and field, before the first event is sent."""

from collections.abc import Iterator
from inspect import get_annotations
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
import msgspec.inspect as types

from domainstream.event.foreign_types import foreign_type_problem, read_foreign
from domainstream.event.payload_faults import fields_of
from domainstream.event.payload_traits import types_in


def payload_type_problems(payload_type: Any) -> list[str]:
    """Return one sentence for each field whose type cannot be written or read; empty if the payload type is usable."""
    problem = _problem_of(payload_type)
    if problem is None:
        return []
    return list(_fields_at_fault(payload_type, {})) or [f"its payload: {problem}"]


def _problem_of(hint: Any) -> str | None:
    """Return why values of a type cannot be written or read; None if they can."""
    try:
        msgspec.json.Decoder(hint, dec_hook=read_foreign)
        foreign = (info.cls for info in types_in(hint) if isinstance(info, types.CustomType))
        found = map(foreign_type_problem, foreign)
        return next((problem for problem in found if problem), None)
    except Exception as error:  # noqa: BLE001 - evaluating annotations may run any code
        return _reason(error)


def _reason(error: Exception) -> str:
    match error:
        case NameError():
            return f"{error}; define it, or import it outside of `if TYPE_CHECKING:`"
        case RecursionError():
            return "the type contains itself without end; use a struct that contains itself"
        case _:
            return f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; use another type"


def _fields_at_fault(hint: Any, faulty: dict[type, bool]) -> Iterator[str]:
    """Yield a sentence for each field at fault of the record classes in a type; the innermost class is named.

    `faulty` holds the classes that were looked at, and whether they are at fault.
    """
    for cls in _classes_in(hint):
        if cls in faulty:
            continue
        faulty[cls] = False
        for name, field_hint in _field_hints(cls):
            yield from _fields_at_fault(field_hint, faulty)
            problem = _reason(field_hint) if isinstance(field_hint, Exception) else _problem_of(field_hint)
            if problem and not any(map(faulty.get, _classes_in(field_hint))):
                yield f"{cls.__name__}.{name}: {problem}"
            faulty[cls] |= problem is not None


def _classes_in(hint: Any) -> Iterator[type]:
    origin = get_origin(hint) or hint
    if isinstance(origin, type):
        yield origin
    for argument in get_args(hint):
        yield from _classes_in(argument)


def _field_hints(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield each field of a record class with its type, or with the error that evaluating its annotation raises."""
    for base in reversed(cls.__mro__):
        annotations = get_annotations(base)
        is_record = is_typeddict(cls) or hasattr(cls, "_fields")
        for name in [name for name in annotations if is_record or name in fields_of(cls)]:
            alone = type(
                base.__name__, (), {"__annotations__": {name: annotations[name]}, "__module__": base.__module__}
            )
            try:
                yield name, get_type_hints(alone, include_extras=True)[name]
            except Exception as error:  # noqa: BLE001 - evaluating annotations may run any code
                yield name, error
