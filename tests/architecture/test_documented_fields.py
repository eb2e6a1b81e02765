"""Public fields: each says under itself what it holds."""

import ast

from support.source_code import Module, modules


def undocumented(module: Module, node: ast.ClassDef) -> list[str]:
    """Return the public fields of a class that no docstring follows."""
    missing = []
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if not statement.target.id.startswith("_") and not is_text(following):
            missing.append(f"{module}:{statement.lineno} {node.name}.{statement.target.id}")
    return missing


def is_text(statement: ast.stmt | None) -> bool:
    """Return whether a statement is nothing but a text."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def test_every_public_field_is_documented_under_itself() -> None:
    """A reader of a public class finds under each field what it holds, its unit and its special values."""
    missing = [
        field
        for module in modules()
        for node in module.classes()
        if not node.name.startswith("_")
        for field in undocumented(module, node)
    ]

    assert missing == []


def test_no_class_documents_its_fields_a_second_time() -> None:
    """A block of `Attributes:` in a class docstring would drift away from the fields."""
    blocks = [
        f"{module}: {node.name}"
        for module in modules()
        for node in module.classes()
        if "Attributes:" in (ast.get_docstring(node) or "")
    ]

    assert blocks == []
