"""Numbers that keep the code readable: small functions, files, classes, constructors and ports."""

import ast
from pathlib import Path
from statistics import median, quantiles

from support.source_code import ROOT, Function, body_of, is_protocol, lines_of, modules


def function_lengths() -> list[int]:
    """Return how many lines the body of each function has, without its docstring."""
    bodies = [body_of(function) for module in modules() for function in module.functions()]
    return [(body[-1].end_lineno or 0) - body[0].lineno + 1 for body in bodies if body]


def lines_in(path: Path) -> int:
    """Count the lines of a file."""
    return len(path.read_text().splitlines())


def methods_of(node: ast.ClassDef) -> list[Function]:
    """Return the methods that a class defines itself."""
    return [one for one in node.body if isinstance(one, Function)]


def parameters_of(function: Function) -> int:
    """Count the parameters of a method without `self`."""
    arguments = function.args
    rest = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]) - 1


def test_file_has_at_most_300_lines() -> None:
    """Files of Python and of Lua can be read in one sitting."""
    files = [path for path in sorted(ROOT.rglob("*")) if path.suffix in {".py", ".lua"}]

    assert {path.relative_to(ROOT).as_posix(): lines_in(path) for path in files if lines_in(path) > 300} == {}


def test_class_has_at_most_200_lines() -> None:
    """A class with its docstrings fits on a few screens; a table of signals or metrics is as long as its rows."""
    classes = [node for module in modules() for node in module.classes() if node.name not in {"Signal", "Metric"}]

    assert {node.name: lines_of(node) for node in classes if lines_of(node) > 200} == {}


def test_constructor_has_at_most_7_parameters() -> None:
    """What needs more is said by a settings object."""
    counts = {
        f"{module}: {node.name}": parameters_of(method)
        for module in modules()
        for node in module.classes()
        for method in methods_of(node)
        if method.name == "__init__"
    }

    assert {name: count for name, count in counts.items() if count > 7} == {}


def test_half_of_all_functions_have_at_most_8_lines() -> None:
    """The median body is short."""
    assert median(function_lengths()) <= 8


def test_nine_of_ten_functions_have_at_most_25_lines() -> None:
    """The 90th percentile of the bodies is readable at a glance."""
    assert quantiles(function_lengths(), n=10)[-1] <= 25


def test_port_has_at_most_3_public_methods() -> None:
    """What a stage asks of the outside stays small enough for anybody to implement."""
    counts = {
        f"{module}: {node.name}": len([method for method in methods_of(node) if not method.name.startswith("_")])
        for module in modules()
        for node in module.classes()
        if is_protocol(node)
    }

    assert {name: count for name, count in counts.items() if count > 3} == {}


def test_there_are_ports() -> None:
    """The stages before publisher, subscriber and worker declare what they need of the outside."""
    ports = {module.package for module in modules() for node in module.classes() if is_protocol(node)}

    assert {"domainstream.producer", "domainstream.stream", "domainstream.queue"} <= ports
