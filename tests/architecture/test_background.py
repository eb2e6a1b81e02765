"""Nothing runs in the background without being watched: its death would go unseen."""

import ast
from collections.abc import Iterator
from typing import Final

from support.source_code import Function, Module, modules

STARTS: Final = {
    "create_task",
    "ensure_future",
    "run_coroutine_threadsafe",
    "Thread",
    "Timer",
    "ThreadPoolExecutor",
    "ProcessPoolExecutor",
    "start_new_thread",
    "start_thread",
    "run_in_executor",
    "to_thread",
    "TaskGroup",
    "Process",
}
"""Calls that start something beside the caller."""

WATCHES: Final = {
    "domainstream/lifecycle.py start": "`Lifecycle.start`: the program ends with the error of the task",
    "domainstream/lifecycle.py start_thread": "`Lifecycle.start_thread` and what it is made of",
}
"""What watches by itself; whoever calls a method of a `Lifecycle` is watched."""

AWAITED: Final = {
    "domainstream/lifecycle.py run": "awaited by `run`",
    "domainstream/lifecycle.py _end": "awaited by `_end`",
    "domainstream/publisher/lane.py _start_flushing": "reports its death, and the next call begins another",
    "domainstream/publisher/redis_stream_publisher_client.py close": "awaited by `close`",
    "domainstream/redis/gatherer.py ask": "awaited by `ask`",
    "domainstream/redis/sentinel.py opened": "asyncio reports its death, and the next connection begins another",
    "domainstream/stream/reader/wake_ups.py _listen_to_each": "a group of tasks that ends with the first error",
    "domainstream/subscriber/channel_hand_over.py _hand_over_new": "awaited by `_hand_over_new`",
    "domainstream/subscriber/settling.py _kept": "awaited by `_kept`",
    "domainstream/worker/bullmq/engine.py _finish": "awaited by `_finish`",
    "domainstream/worker/bullmq/lock_renewer.py stop": "awaited by `stop`",
    "domainstream/worker/bullmq/runner.py _run": "awaited by `_run`",
    "domainstream/worker/bullmq/runner.py start": "ends in `_on_end`",
    "domainstream/worker/prepared_call.py _call_within_limit": "awaited, or abandoned and reported",
    "domainstream/worker/thread_pool.py _start_thread": "awaited by `run`; its death is reported",
    "domainstream/tools/signals.py guard": "awaited by `guard`",
    "domainstream/tools/serving/serving.py wait": "awaited by `wait`",
    "domainstream/tools/serving/serving.py serve": "awaited by `serve`",
    "domainstream/tools/dashboard/cached.py within": "awaited by whoever asks next",
    "domainstream/tools/dashboard/facts.py _project": "awaited by `_project`",
    "domainstream/tools/dashboard/live.py _ensure_reader": "asyncio reports its death, and each viewer begins another",
    "domainstream/tools/serving/exit_deadline.py arm": "ends the process",
    "domainstream/tools/serving/exit_deadline.py force_exit": "ends with the process",
}
"""Functions that await what they start, or report its end themselves."""

OUTSIDE: Final = ("testing", "tools/demo")
"""Rooms that no service runs."""


def starts(node: ast.AST, inside: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call that starts something, with the function it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and ast.unparse(child.func).rpartition(".")[2] in STARTS:
            yield inside, child
        yield from starts(child, child.name if isinstance(child, Function) and not inside else inside)


def is_watched(call: ast.Call) -> bool:
    """Return whether a call is of a method of a lifecycle."""
    return ast.unparse(call.func).endswith("lifecycle.start_thread")


def started(module: Module) -> Iterator[str]:
    """Yield the functions of a module that start something unwatched."""
    for owner in ast.walk(module.tree):
        if isinstance(owner, ast.Module | ast.ClassDef):
            for child in ast.iter_child_nodes(owner):
                if isinstance(child, Function):
                    yield from (
                        f"{module} {child.name}" for _, call in starts(child, child.name) if not is_watched(call)
                    )


def all_started() -> set[str]:
    """Return the functions that start something unwatched."""
    return {place for module in modules() if not module.is_in(*OUTSIDE) for place in started(module)}


def test_background_is_watched_or_awaited() -> None:
    """Tasks and threads are started by `Lifecycle`, or by a function that awaits them or reports their end."""
    assert all_started() - {*WATCHES, *AWAITED} == set()


def test_table_has_no_function_that_starts_nothing() -> None:
    """The table names functions that exist, so that it does not excuse what is added later."""
    assert {*WATCHES, *AWAITED} - all_started() == set()


def test_no_task_is_started_and_forgotten() -> None:
    """What a call starts is kept: asyncio holds tasks by weak references only."""
    forgotten = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).rpartition(".")[2] in ("create_task", "ensure_future", "start")
        and ast.unparse(node.value.func).startswith(("asyncio.", "loop.", "lifecycle.", "self._lifecycle."))
    ]

    assert forgotten == []
