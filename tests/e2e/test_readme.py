"""What the README shows is true."""

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent, indent

import pytest

from domainstream import subscriber, worker
from domainstream.tools.check import check_project

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OURS = (path for path in ROOT.glob("examples/**/*.md") if "node_modules" not in path.parts)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *OURS]


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_quickstart_runs_as_it_stands(tmp_path: Path) -> None:
    """The first code block, saved to a file and run, prints what the block behind it says."""
    script = tmp_path / "quickstart.py"
    script.write_text(blocks("python")[0], encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert done.stdout == blocks("text")[0]
    assert done.stderr == ""


def test_quickstart_type_checks(tmp_path: Path) -> None:
    """The first code block passes mypy --strict."""
    script = tmp_path / "quickstart.py"
    script.write_text(blocks("python")[0], encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def as_module(block: str) -> str:
    """Return a block as a file: code that awaits is put into a function."""
    try:
        compile(block, "block", "exec", dont_inherit=True)
    except SyntaxError:
        return f"async def block() -> None:\n{indent(block, '    ')}"
    return block


EVENTS = "services/coding/src/coding/domain_layer/stay/stay_events.py"


def test_blocks_break_no_rule(tmp_path: Path) -> None:
    """`domainstream check` finds nothing in the code blocks but that one file has all layers (DS206)."""
    (tmp_path / EVENTS).parent.mkdir(parents=True)
    (tmp_path / "domainstream.toml").write_text(f'channels = "{EVENTS}"\nsubscriptions = "{EVENTS}"\n')
    names = "RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue"
    imports = (
        f"from domainstream.subscriber import {names}\nfrom domainstream.worker import EventConsumer, EventContext\n"
    )
    (tmp_path / EVENTS).write_text(
        "\n".join([blocks("python")[0], imports, as_module(blocks("python")[1])]), encoding="utf-8"
    )
    assert {finding.code for finding in check_project(tmp_path)} == {"DS206"}


@pytest.mark.parametrize("page", [*ROOT.glob("docs/how-to/*.md")], ids=lambda page: page.stem)
def test_how_to_pages_break_no_rule(page: Path, tmp_path: Path) -> None:
    """`domainstream check` finds nothing in a page's code beside the example, unless the page shows the finding.

    Blocks are variants of one consumer, which is also in the example (DS408), where its queue may have other partitions
    (DS410), and read events of other systems, whose contracts the example does not have (DS701).
    """
    example = tmp_path / "example"
    shutil.copytree(ROOT / "examples/monorepo", example, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    text = page.read_text(encoding="utf-8")
    for number, block in enumerate(re.findall(r"^ *```python\n(.*?)```", text, flags=re.DOTALL | re.MULTILINE)):
        file = example / f"services/valuation/src/valuation/infrastructure_layer/block_{number}.py"
        file.write_text(as_module(dedent(block)), encoding="utf-8")
    shown = {code for code in re.findall(r"# domainstream: ignore\[(\w+)\]", text) if code}
    found = [
        finding for finding in check_project(example) if not shown and finding.code not in {"DS408", "DS410", "DS701"}
    ]
    assert [f"{finding}; {finding.fix}" for finding in found] == []
    late = "from domainstream import BaseEvent\n\n\nclass Late(BaseEvent[int]):\n    event_type = 'late'\n"
    (example / "services/valuation/src/valuation/infrastructure_layer/control.py").write_text(late)
    assert "DS201" in {finding.code for finding in check_project(example)}


def test_second_block_uses_names_that_exist() -> None:
    """Every name of the subscribing and handling block is public where the README's readers will look for it."""
    names = set(
        re.findall(
            r"\b(create_multiple_handlers|to_queue|[A-Z]\w+(?:Subscriber|Consumer|Context|Worker))\b",
            blocks("python")[1],
        )
    )
    public = {*subscriber.__all__, *worker.__all__}
    assert names <= public
    assert len(names) == 6


def test_commands_exist() -> None:
    """Every `make` command that the README names is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"[`\n]make ([a-z]+)\b", README)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page leads to a file or folder of the project."""
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_guarantees_name_tests_that_exist() -> None:
    """Every test file or folder that the guarantees name exists, and a name without its folder means one file only."""
    text = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    files = Counter(path.name for path in ROOT.glob("tests/**/test_*.py"))
    named = re.findall(r"`(tests/[\w/.]+|test_\w+\.py)`", text)
    assert [name for name in named if "/" in name and not (ROOT / name).exists()] == []
    assert [name for name in named if "/" not in name and files[name] != 1] == []


def test_every_guarantee_names_its_tests() -> None:
    """Every promise, a paragraph that begins with a sentence in bold, names the tests that prove it."""
    text = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    promises = [paragraph for paragraph in text.split("\n\n") if paragraph.startswith("**")]
    assert len(promises) > 30
    assert [promise.partition("\n")[0] for promise in promises if "*Tests: `" not in promise] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_on_a_page_is_python(page: Path) -> None:
    """Every Python block of a page compiles, indented or not, with `await` at its top."""
    for block in re.findall(
        r"^ *```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    ):
        compile(dedent(block), str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
