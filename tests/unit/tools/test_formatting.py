"""The forms of values for people."""

from domainstream.tools.common.formatting import age, moment


def test_ages_and_moments_are_formatted() -> None:
    """Ages have one unit, moments are in UTC, and a moment out of range stays a number."""
    assert [age(one) for one in (None, -5, 999, 61_000, 7_200_000, 86_400_000 * 3)] == [
        *("-", "0 ms", "999 ms", "1 min", "2 h", "3 d"),
    ]
    assert moment(0) == "1970-01-01T00:00:00.000Z"
    assert moment(2**63) == str(2**63)
