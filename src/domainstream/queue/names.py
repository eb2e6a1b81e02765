"""What queues and jobs may be called."""

import re

_ALLOWED = re.compile(r"[^\s:]+")


def name_problem(what: str, name: str) -> str | None:
    """Say what is wrong with the name of a queue or job; None when it may be used.

    BullMQ builds keys with ":" from the queue's name, and the name of its connections cannot hold white space.
    """
    if _ALLOWED.fullmatch(name):
        return None
    return f"the {what} {name!r} must not be empty and must hold neither ':' nor white space; type: {what}='price-stay'"
