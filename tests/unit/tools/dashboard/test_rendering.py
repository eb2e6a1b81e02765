"""Texts and paths as pages show them."""

import pytest

from domainstream.tools.dashboard.rendering import line_of_code, path_to, seconds, short


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("/srv/app/services/billing/pricing.py:7 in price", "billing/pricing.py:7 in price"),
        ("pricing.py:7 in price", "pricing.py:7 in price"),
        ("", ""),
    ],
)
def test_line_of_code_is_named_without_the_folders_of_a_deployment(where: str, expected: str) -> None:
    """The file, its folder and the function are what people know it by."""
    assert line_of_code(where) == expected


def test_names_in_paths_are_escaped() -> None:
    """A name of any characters is one part of a path, and of a query."""
    assert path_to("jobs", "a/b", "?x", id="1&2", empty="") == "/jobs/a%2Fb/%3Fx?id=1%262"


@pytest.mark.parametrize(
    ("milliseconds", "expected"), [(None, "0 s"), (1_500, "1.5 s"), (119_000, "119.0 s"), (600_000, "10 min")]
)
def test_lag_is_in_seconds(milliseconds: int | None, expected: str) -> None:
    """Below two minutes an age is in seconds, so that ages can be compared."""
    assert seconds(milliseconds) == expected


def test_long_text_is_cut() -> None:
    """A text is as long as it may be at most, and shows that it was longer."""
    assert short("abcdef", 4) == "abc…"
