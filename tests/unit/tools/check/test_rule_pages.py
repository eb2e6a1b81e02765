"""Each rule has a page, and the page's examples are what it says: the bad one breaks this rule and no other."""

import ast
from pathlib import Path

import pytest
from support.checking import RULE_PAGES, example, small_system, write_system

from domainstream.tools.check import check_project
from domainstream.tools.check.engine import RULES

CODES = [rule.code for rule in RULES]


def codes_in(root: Path) -> list[str]:
    """Return the codes of what is wrong with a system."""
    return [finding.code for finding in check_project(root)]


def test_small_system_is_clean(tmp_path: Path) -> None:
    """The small system that the examples change has no findings itself."""
    assert check_project(write_system(tmp_path, small_system())) == []


@pytest.mark.parametrize("code", CODES)
def test_bad_example_breaks_its_rule_and_no_other(code: str, tmp_path: Path) -> None:
    """The bad example on a rule's page is reported under that rule's code and no other."""
    changed = example(code, "Bad")
    assert changed
    found = codes_in(write_system(tmp_path, small_system() | changed))
    assert set(found) == {code}


@pytest.mark.parametrize("code", CODES)
def test_good_example_is_clean(code: str, tmp_path: Path) -> None:
    """The good example on a rule's page has no findings."""
    changed = example(code, "Good")
    assert changed
    assert check_project(write_system(tmp_path, small_system() | changed)) == []


@pytest.mark.parametrize("code", CODES)
def test_good_example_is_python(code: str) -> None:
    """The files of a good example are valid Python."""
    for name, text in example(code, "Good").items():
        if name.endswith(".py"):
            ast.parse(text)


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    """Every rule has a page in docs/rules, and every page there describes a rule."""
    assert sorted(path.stem for path in RULE_PAGES.glob("DS*.md")) == sorted(CODES)


@pytest.mark.parametrize("rule", RULES, ids=CODES)
def test_overview_lists_every_rule(rule: object) -> None:
    """The overview lists each rule with what it finds and whether it is fixable; the page's title says the same."""
    code, summary, fixable = rule.code, rule.summary, rule.fixable  # type: ignore[attr-defined]
    row = f"| [{code}]({code}.md) | {summary} | {'yes' if fixable else ''} |"
    assert row in (RULE_PAGES / "README.md").read_text(encoding="utf-8").splitlines()
    assert (RULE_PAGES / f"{code}.md").read_text(encoding="utf-8").startswith(f"# {code}: {summary}\n")


def test_readme_counts_the_rules() -> None:
    """The README names the number of rules."""
    readme = RULE_PAGES.parents[1] / "README.md"
    assert f"[{len(CODES)} rules](docs/rules/README.md)" in readme.read_text(encoding="utf-8")


def test_codes_are_sorted_and_used_once() -> None:
    """The table of rules is sorted by code, and no code is used twice."""
    assert sorted(set(CODES)) == CODES
