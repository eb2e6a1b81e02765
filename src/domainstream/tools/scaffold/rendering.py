"""Renders the templates, in the code style of the project."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from domainstream.tools.scaffold import names, python_text
from domainstream.tools.scaffold.edits.imports import import_paragraphs
from domainstream.tools.scaffold.plan import Plan
from domainstream.tools.scaffold.style import Style

_FOLDER = Path(__file__).parent / "templates"


def render(template: str, style: Style, first_party: set[str], **values: Any) -> str:
    """Return a rendered template; `first_party` are the packages of the project, for the order of imports."""
    width, packages = style.width, first_party.union(style.first_party)
    helpers = {
        "imports": lambda wanted: import_paragraphs(wanted, packages, width),
        "call": lambda head, arguments, tail="", indent=0: python_text.call(head, arguments, tail, indent, width),
        "statement": lambda head, value, indent=0: python_text.statement(head, value, indent, width),
    }
    return _environment().get_template(template).render(**helpers, **values)


def create_all(plan: Plan, folder: str, target: str, first_party: set[str], values: Mapping[str, Any]) -> None:
    """Plan every missing file of a folder of templates; `__name__` in a path is replaced by that value."""
    for file in sorted((_FOLDER / folder).rglob("*.j2")):
        path = file.relative_to(_FOLDER / folder).as_posix().removesuffix(".j2")
        for name, value in values.items():
            path = path.replace(f"__{name}__", str(value))
        path = f"{target}/{path}".removeprefix("./")
        text = render(file.relative_to(_FOLDER).as_posix(), plan.style(path), first_party, **values)
        plan.create(path, text)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 - writes Python, not HTML
        loader=jinja2.FileSystemLoader(_FOLDER),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        pascal=names.pascal, kebab=names.kebab, words=names.words, with_article=names.with_article
    )
    return environment
