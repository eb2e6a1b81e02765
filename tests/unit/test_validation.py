"""Settings: frozen, checked when they are made, all problems at once, each with what was expected and what was got."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from typing import Any, get_args

import pytest

from domainstream import BatchLimits, MessageLimits, PublisherSettings, Retention, RetryPolicy
from domainstream.errors import ConfigurationError, DomainStreamError

ZERO = timedelta()
HOUR = timedelta(hours=1)
CHECKED = [MessageLimits, RetryPolicy, Retention]
ALL = [*CHECKED, BatchLimits]


def problems_of(make: Callable[..., object], **values: object) -> tuple[str, ...]:
    """Return what the refusal of settings lists."""
    with pytest.raises(ConfigurationError) as refusal:
        make(**values)
    return refusal.value.problems


def above_zero(settings: type[Any]) -> list[str]:
    """Return the names of the settings that are numbers or durations."""
    return [field.name for field in fields(settings) if field.type is not bool]


def zero_of(kind: Any) -> object:
    """Return 0 of an annotated type, which may allow None as well."""
    return ZERO if timedelta in (get_args(kind) or (kind,)) else 0


@pytest.mark.parametrize("settings", ALL)
def test_defaults_can_be_used(settings: type[Any]) -> None:
    """Default settings are valid."""
    assert settings() == settings()


@pytest.mark.parametrize("settings", ALL)
def test_settings_are_frozen(settings: type[Any]) -> None:
    """Settings cannot change after they were checked."""
    made = settings()

    with pytest.raises(FrozenInstanceError):
        setattr(made, above_zero(settings)[0], None)


@pytest.mark.parametrize("settings", ALL)
def test_settings_are_given_by_name(settings: type[Any]) -> None:
    """Settings only accept keyword arguments."""
    with pytest.raises(TypeError):
        settings(1)


@pytest.mark.parametrize("settings", ALL)
def test_every_problem_is_reported_at_once(settings: type[Any]) -> None:
    """Each value of zero has a line of its own, in the order of the fields."""
    zeros = {field.name: zero_of(field.type) for field in fields(settings) if field.type is not bool}

    problems = problems_of(settings, **zeros)

    assert [problem.split()[0] for problem in problems] == list(zeros)


@pytest.mark.parametrize("settings", ALL)
def test_refusal_names_the_settings(settings: type[Any]) -> None:
    """The message begins with the class, whose docstring says more."""
    name = above_zero(settings)[0]

    with pytest.raises(ConfigurationError, match=f"^{settings.__name__} cannot be used:"):
        settings(**{name: 0})


@pytest.mark.parametrize(
    ("value", "got"), [(0, "0"), (-1, "-1"), (1.5, "1.5"), ("5", "'5'"), (True, "True"), (HOUR, "1:00:00")]
)
def test_number_must_be_a_positive_integer(value: object, got: str) -> None:
    """Anything else is reported with what was expected and what was got."""
    assert problems_of(MessageLimits, max_bytes=value) == (f"max_bytes is {got}, expected a positive integer",)


@pytest.mark.parametrize(
    ("value", "got"), [(ZERO, "0:00:00"), (-HOUR, "-1 day, 23:00:00"), (10, "10"), ("10s", "'10s'")]
)
def test_duration_must_be_a_positive_timedelta(value: object, got: str) -> None:
    """Seconds as a number are refused when the settings are made, not when they are first used."""
    assert problems_of(RetryPolicy, deadline=value) == (f"deadline is {got}, expected a positive timedelta",)


@pytest.mark.parametrize("settings", [MessageLimits, RetryPolicy])
def test_limit_that_cannot_be_switched_off_refuses_none(settings: type[Any]) -> None:
    """None is only taken where the field says what it does."""
    names = above_zero(settings)

    problems = problems_of(settings, **dict.fromkeys(names))

    assert [problem.partition(",")[0] for problem in problems] == [f"{name} is None" for name in names]


@pytest.mark.parametrize("settings", CHECKED)
def test_wrong_types_are_reported_at_once(settings: type[Any]) -> None:
    """Values that cannot even be compared are problems like others."""
    names = above_zero(settings)

    assert len(problems_of(settings, **dict.fromkeys(names, "much"))) == len(names)


def test_first_delay_beyond_the_longest_is_refused() -> None:
    """Pauses grow from the first to the longest, so the first is not the longer one."""
    (problem,) = problems_of(RetryPolicy, first_delay=HOUR)

    assert problem == "first_delay (1:00:00) is longer than longest_delay (0:00:01)"


def test_contradiction_is_reported_beside_other_problems() -> None:
    """What two settings say together is checked along with each of them."""
    assert len(problems_of(RetryPolicy, first_delay=HOUR, deadline=ZERO)) == 2


@pytest.mark.parametrize("name", above_zero(Retention))
def test_none_switches_a_limit_of_retention_off(name: str) -> None:
    """Each limit of the retention can be switched off alone."""
    switched_off: Any = {name: None}

    assert getattr(Retention(**switched_off), name) is None


def test_retention_can_be_switched_off() -> None:
    """Without any limit, streams keep everything."""
    retention = Retention(max_age=None, max_unread_age=None, max_length=None)

    assert {getattr(retention, name) for name in above_zero(Retention)} == {None}


def test_without_a_maximal_age_the_one_of_unread_entries_has_no_effect() -> None:
    """It is not refused: whoever keeps entries by number alone need not name it."""
    retention = Retention(max_age=None, max_unread_age=HOUR)

    assert retention.max_age is None
    assert retention.max_unread_age == HOUR


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_age", ZERO), ("max_age", -HOUR), ("max_unread_age", ZERO), ("max_length", 0), ("max_length", -1)],
)
def test_retention_refuses_limits_of_zero_or_less(name: str, value: object) -> None:
    """Limits of zero or less are rejected, because None is the way to switch a limit off."""
    assert any(problem.startswith(f"{name} is ") for problem in problems_of(Retention, **{name: value}))


def test_retention_refuses_seconds_as_a_number() -> None:
    """An hour is `timedelta(hours=1)`, not 3600."""
    assert problems_of(Retention, max_age=3600) == ("max_age is 3600, expected a positive timedelta",)


def test_retention_refuses_to_drop_unread_entries_before_read_ones() -> None:
    """What a group has not read is kept at least as long as what it has."""
    (problem,) = problems_of(Retention, max_age=HOUR, max_unread_age=HOUR / 2)

    assert problem == "max_age (1:00:00) is longer than max_unread_age (0:30:00)"


def test_retention_may_drop_read_and_unread_entries_together() -> None:
    """Read and unread entries may have the same maximum age."""
    retention = Retention(max_age=HOUR, max_unread_age=HOUR)

    assert retention.max_age == retention.max_unread_age


def test_publishers_contradictions_are_reported_at_once() -> None:
    """An invalid producer id and a `dedup_window` that is too short are reported together."""
    problems = problems_of(
        PublisherSettings, url="redis://localhost", producer_id="a b", dedup_window=timedelta(seconds=1)
    )

    assert [problem.split()[0] for problem in problems] == ["producer_id", "dedup_window"]


def test_url_is_not_shown() -> None:
    """A password in the URL does not reach logs by way of the settings."""
    assert "secret" not in repr(PublisherSettings(url="redis://user:secret@localhost"))


def test_refusal_is_one_of_our_errors() -> None:
    """`DomainStreamError` catches refused settings."""
    with pytest.raises(DomainStreamError):
        MessageLimits(max_depth=0)
