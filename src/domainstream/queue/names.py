"""Which names queues and jobs may have."""

import re

_ALLOWED = re.compile(r"[^\s:]+")


def name_problem(what: str, name: str) -> str | None:
    """Return what is wrong with the name of a queue or job; None when it is valid.

    BullMQ separates the parts of a key by ":", and puts the queue's name into the name of its connections, which
    Redis does not allow to contain whitespace.
    """
    if _ALLOWED.fullmatch(name):
        return None
    return f"the {what} {name!r} must be non-empty and contain neither ':' nor whitespace, as in {what}='price-stay'"
