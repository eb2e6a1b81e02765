"""The rules' good examples are systems that start: imported for real, their mappers, channels and subscriptions fit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.checking import example, small_system, write_system

from domainstream.tools.check.engine import RULES

CODES = [rule.code for rule in RULES]

REFUSED_AT_START_UP = [
    "DS101", "DS102", "DS103", "DS104", "DS105", "DS106", "DS203", "DS301", "DS304", "DS305", "DS306", "DS401",
    "DS402", "DS403", "DS411",
]  # fmt: skip

STARTER = """
import importlib, json, sys
from pathlib import Path

from domainstream import ChannelRegistry, verify_mapper


def start(root):
    sources = [*root.glob("packages/*/src"), *root.glob("services/*/src")]
    sys.path[:0] = map(str, sources)
    before = set(sys.modules)
    try:
        paths = sorted(path for source in sources for path in source.rglob("*.py"))
        names = [".".join(p.relative_to(s).with_suffix("").parts) for p in paths for s in sources if s in p.parents]
        modules = {name: importlib.import_module(name) for name in names}
        with_mapper = {name: module for name, module in modules.items() if name.endswith("_mapper")}
        mappers = {name.partition(".")[0]: verify_mapper(one.channel_for) for name, one in with_mapper.items()}
        channels = modules["contracts.event_publisher_channels"].Channel
        subscriptions = modules["contracts.subscriptions"].subscriptions
        ChannelRegistry.build(channels, mappers=mappers, subscriptions=subscriptions)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        del sys.path[: len(sources)]
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in {"coding", "billing", "contracts"}:
                del sys.modules[name]
    return None


print(json.dumps({root: start(Path(root)) for root in sys.argv[1:]}))
"""


def outcomes(roots: list[Path]) -> dict[str, str | None]:
    """Start each system, and return why it did not by the name of its folder."""
    command = [sys.executable, "-c", STARTER, *map(str, roots)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {Path(root).name: why for root, why in json.loads(done.stdout).items()}


def test_every_good_example_starts(tmp_path: Path) -> None:
    """The good example of every rule is a system whose programs start."""
    roots = [write_system(tmp_path / code, small_system() | example(code, "Good")) for code in CODES]
    assert {code: why for code, why in outcomes(roots).items() if why} == {}


def test_what_start_up_refuses_has_been_a_finding(tmp_path: Path) -> None:
    """The bad examples of these rules do not start, so `check` reports in advance what start-up would refuse."""
    roots = [write_system(tmp_path / code, small_system() | example(code, "Bad")) for code in REFUSED_AT_START_UP]
    assert [code for code, why in outcomes(roots).items() if not why] == []


@pytest.mark.parametrize("code", REFUSED_AT_START_UP)
def test_rules_that_start_up_knows_too_exist(code: str) -> None:
    """Every code in this file's list is the code of a rule."""
    assert code in CODES
