"""What SQLAlchemy calls when sessions flush, commit and roll back, for all outboxes.

The hooks are those of the class `Session`. A hook that was added to a session by its first event would miss the commit
that is going on already, if that event is added by another hook.

SQLAlchemy gives a new class of sessions the hooks of its bases when its first session is made. Threads that do this at
the same time may get sessions without them, for a moment or permanently. So it is made to do it before there is one,
where the class is known, and each session is looked at before it gets an event.
"""

import time
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from domainstream.outbox.sql.session_events import collectors, work_of, works

PATIENCE: Final = 0.2
"""Seconds that another thread may take to give the hooks to a class of sessions; it takes microseconds."""

_listening = Lock()
_lost: WeakSet[type[Session]] = WeakSet()
"""Classes whose sessions do not have their hooks."""


def listen() -> None:
    """Let the hooks be called for all sessions."""
    with _listening:  # a second thread must not go on before the hooks of the first are called
        _listen_once()


def listen_to(sessions: type[Session]) -> None:
    """Let the hooks be called for this class of sessions, from its first session on."""
    for name in _HOOKS:
        event.listen(sessions, name, _no_hook)  # which gives the class those of its bases


@cache
def _listen_once() -> None:
    for name, hook in _HOOKS.items():
        event.listen(Session, name, hook)


def ensure_hooks(session: Session) -> None:
    """Let the hooks be called for `session` itself where SQLAlchemy has lost those of its class."""
    if _is_heard(session):
        return
    kind, give_up_at = type(session), time.monotonic() + PATIENCE
    while kind not in _lost and time.monotonic() < give_up_at:
        time.sleep(0.001)
        if _is_heard(session):
            return
    _lost.add(kind)
    for name, hook in _HOOKS.items():
        if hook not in getattr(session.dispatch, name):
            event.listen(session, name, hook)


def _is_heard(session: Session) -> bool:
    return all(hook in getattr(session.dispatch, name) for name, hook in _HOOKS.items())


def _before_commit(session: Session) -> None:
    root = session.get_transaction()
    if root is None:
        return
    work = work_of(session, root)
    if session.get_nested_transaction() is not None:
        work.commits += 1
    else:
        work.finish(session)


def _after_commit(session: Session) -> None:
    root, nested = session.get_transaction(), session.get_nested_transaction()
    work = works.get(root) if root is not None else None
    if work is None:
        return
    if nested is None:
        work.is_committed = True
    else:
        work.commits = max(0, work.commits - 1)
        del work.marks[id(nested)]


def _after_flush(session: Session, _: Any) -> None:
    root = session.get_transaction()
    if root is not None and collectors:
        # What is flushed is held weakly from now on, or no longer if it was deleted, while its events still count.
        work_of(session, root).collect(session, [*session.new, *session.dirty, *session.deleted])


def _after_transaction_create(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested and (root := session.get_transaction()) is not None:
        work = work_of(session, root)
        try:
            work.collect(session, session.identity_map.values())
        finally:
            work.marks[id(transaction)] = len(work.kept)


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        work = work_of(session, transaction)
        del works[transaction]
        if not work.is_committed:
            work.undo(session, None)
    elif transaction.nested and (root := session.get_transaction()) is not None:
        work = work_of(session, root)
        mark = work.marks.pop(id(transaction), None)
        if mark is not None:
            work.commits = 0
            work.undo(session, mark)
        elif work.commits and session.get_nested_transaction() is None:
            work.commits = 0
            work.finish(session)


def _no_hook(*_: Any) -> None:
    pass


_HOOKS: Final[dict[str, Callable[..., None]]] = {
    "before_commit": _before_commit,
    "after_commit": _after_commit,
    "after_flush": _after_flush,
    "after_transaction_create": _after_transaction_create,
    "after_transaction_end": _after_transaction_end,
}
