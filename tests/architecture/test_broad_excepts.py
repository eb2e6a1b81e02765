"""No error is swallowed silently."""

import ast

from support.source_code import modules

BROAD = {"Exception", "BaseException"}


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler catches everything."""
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(one) in BROAD for one in caught)


def is_silent(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler neither raises, nor emits a signal, nor looks at what it caught."""
    nodes = [node for statement in handler.body for node in ast.walk(statement)]
    raises = any(isinstance(node, ast.Raise) for node in nodes)
    looks = any(isinstance(node, ast.Name) and node.id == handler.name for node in nodes)
    emits = any(isinstance(node, ast.Call) and ast.unparse(node.func) == "emit" for node in nodes)
    return not (raises or looks or emits)


def test_handler_that_catches_everything_is_not_silent() -> None:
    """A handler that catches everything raises again, emits a signal, or keeps the error."""
    handlers = [
        (f"{module}:{node.lineno}", node)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
    ]

    assert [place for place, handler in handlers if is_broad(handler) and is_silent(handler)] == []


def test_nothing_broad_is_raised() -> None:
    """Who calls us can tell our errors apart: none is a bare `Exception` or `RuntimeError`."""
    raised = [
        (f"{module}:{node.lineno}", ast.unparse(node.exc).partition("(")[0])
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise) and node.exc
    ]

    assert [place for place, name in raised if name in BROAD | {"RuntimeError"}] == []
