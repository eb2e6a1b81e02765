"""No error is swallowed unseen."""

import ast

from support.source_code import modules

BROAD = {"Exception", "BaseException"}


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler catches everything."""
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(one) in BROAD for one in caught)


def is_silent(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler neither raises, nor logs, nor looks at what it caught."""
    nodes = [node for statement in handler.body for node in ast.walk(statement)]
    raises = any(isinstance(node, ast.Raise) for node in nodes)
    looks = any(isinstance(node, ast.Name) and node.id == handler.name for node in nodes)
    logs = any(isinstance(node, ast.Attribute) and node.attr in {"exception", "error", "warning"} for node in nodes)
    return not (raises or looks or logs)


def test_a_handler_that_catches_everything_is_not_silent() -> None:
    """It raises again, logs, or keeps the error for somebody."""
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
