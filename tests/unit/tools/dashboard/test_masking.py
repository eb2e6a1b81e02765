"""Payloads without the values that must not be seen."""

import pytest

from domainstream.tools.dashboard.masking import LONGEST, MASK, shown_data

NAMES = frozenset({"token", "api_key"})


@pytest.mark.parametrize("name", ["token", "Token", "accessToken", "access_token", "api_key", "apiKey", "API-Key"])
def test_masked_names_are_found_in_any_spelling(name: str) -> None:
    """A field is masked if its name is, or ends with, a masked one, however it is written."""
    shown = shown_data(f'{{"deep": [{{"{name}": "sesame"}}]}}'.encode(), NAMES)
    assert "sesame" not in shown
    assert MASK in shown


def test_other_fields_are_shown() -> None:
    """The values of all other fields are there."""
    assert '"tokens": 7' in shown_data(b'{"tokens":7}', NAMES)


def test_whole_objects_are_masked() -> None:
    """Nothing within a masked field is shown."""
    assert "sesame" not in shown_data(b'{"token":{"value":"sesame"}}', NAMES)


def test_what_is_not_json_is_not_shown() -> None:
    """Data that cannot be masked is only measured."""
    assert shown_data(b"token=sesame", NAMES) == "12 bytes that are not JSON"


def test_long_data_is_cut() -> None:
    """A huge payload does not make a huge page."""
    assert len(shown_data(b'"' + b"x" * 10 * LONGEST + b'"', NAMES)) < LONGEST + 100


def test_missing_data_is_empty() -> None:
    """An entry without data has nothing to show."""
    assert shown_data(None, NAMES) == ""


SENSITIVE = {"stay_coded": frozenset({"name", "type"}), "stay_paid": frozenset({"amount"})}


def test_marked_fields_of_the_event_are_masked() -> None:
    """The marked fields of an event are masked in its payload, at any depth, and nowhere else."""
    shown = shown_data(b'{"type":"stay_coded","data":{"deep":[{"name":"Ada"}],"amount":7}}', NAMES, SENSITIVE)
    assert "Ada" not in shown
    assert '"amount": 7' in shown
    assert '"type": "stay_coded"' in shown


def test_marked_names_are_exact() -> None:
    """Unlike the names of `--mask`, which are ends of names, a marked field is one field."""
    assert "Heart" in shown_data(b'{"type":"stay_coded","data":{"ward_name":"Heart"}}', NAMES, SENSITIVE)


def test_data_of_an_unknown_type_hides_all_marked_fields() -> None:
    """What is not an event of the system is masked as any of them would be."""
    shown = shown_data(b'{"data":{"name":"Ada","amount":7,"rest":"seen"}}', NAMES, SENSITIVE)
    assert "Ada" not in shown
    assert "7" not in shown
    assert "seen" in shown
