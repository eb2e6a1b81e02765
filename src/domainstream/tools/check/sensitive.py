"""The names of the fields that a system marks as sensitive."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from domainstream.tools.check.model.domain import Shape
from domainstream.tools.check.model.project import Project

PAYLOAD: Final = "data"
"""The member of a message that holds the payload."""


@lru_cache(maxsize=1)
def sensitive_names(project: Project) -> dict[str, frozenset[str]]:
    """Return the names on the wire of the marked fields of each event, nested ones included, by event type.

    What a contract file says about an earlier version counts too: such messages may still be stored.

    The elements of an array have no names. So what holds a class that is written as an array with a marked field
    counts as marked itself: a field, or the whole payload.
    """
    found: dict[str, frozenset[str]] = {}
    for event in (*project.events, *project.readers):
        root = project.shapes.get(event.payload or "")
        if root is None or event.event_type is None:
            continue
        names = _names(root, project.shapes)
        if _is_unnamed(root, project.shapes, frozenset()):
            names |= {PAYLOAD}
        found[event.event_type] = found.get(event.event_type, frozenset()) | names
    for event_type, snapshot in (project.snapshots or {}).items():
        types = snapshot.types.values()
        marked = {name for shape in types for name, field in shape.fields.items() if field.sensitive}
        found[event_type] = found.get(event_type, frozenset()) | marked
    return found


def _names(root: Shape, shapes: Mapping[str, Shape]) -> frozenset[str]:
    left, seen, names = [root], {root.symbol}, set[str]()
    while left:
        shape = left.pop()
        used = [shapes[symbol] for symbol in shape.uses if symbol in shapes]
        unnamed = {one.name for one in used if _is_unnamed(one, shapes, frozenset())}
        for field in shape.fields:
            if field.sensitive or any(name in field.annotation for name in unnamed):
                names |= {field.name, *field.reads}
        new = [one for one in used if one.symbol not in seen]
        seen.update(one.symbol for one in new)
        left += new
    return frozenset(names)


def _is_unnamed(shape: Shape, shapes: Mapping[str, Shape], above: frozenset[str]) -> bool:
    """Return whether a class is written as an array in which something is marked."""
    if not shape.form.array or shape.symbol in above:
        return False
    parts = [shapes[symbol] for symbol in shape.uses if symbol in shapes]
    return any(field.sensitive for field in shape.fields) or any(
        _is_unnamed(part, shapes, above | {shape.symbol}) for part in parts
    )
