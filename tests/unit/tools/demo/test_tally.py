"""Counting and summarising the demo's reports."""

import pytest

from domainstream.tools.common.percentiles import percentile
from domainstream.tools.demo.protocol import Handled, Published, Report, Subscription, read_report, write_report
from domainstream.tools.demo.tally import DemoOutcome, FailoverOutcome, Tally

CREATED = Subscription("stay_created", "screenflow", "screen-stay")
PRICED = Subscription("stay_priced", "coding", "record-price")


def tally_of(*reports: Report) -> Tally:
    """Return a tally of two subscriptions that has counted `reports` in."""
    tally = Tally()
    tally.add(Report(subscriptions=[CREATED, PRICED]))
    for report in reports:
        tally.add(report)
    return tally


def published(channel: str, *event_ids: str) -> Report:
    """Return a report of published events."""
    return Report(published=[Published(channel, event_id) for event_id in event_ids])


def handled(subscription: Subscription, *event_ids: str, milliseconds: float = 1.0) -> Report:
    """Return a report of handled events."""
    return Report(handled=[Handled(subscription, event_id, milliseconds) for event_id in event_ids])


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, None),
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([3.0, 1.0, 2.0, 4.0], 50, 2.0),
        ([float(number) for number in range(1, 101)], 99, 99.0),
        ([float(number) for number in range(1, 101)], 100, 100.0),
        ([float(number) for number in range(1, 102)], 99, 100.0),
        ([2.0, 1.0], 0, 1.0),
    ],
)
def test_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(
    values: list[float], percent: float, expected: float | None
) -> None:
    """The percentile is the nearest rank: always one of the values, and None without values."""
    assert percentile(values, percent) == expected


def test_run_is_complete_when_all_published_events_are_handled() -> None:
    """Once all stays are handed in, equal sets of event ids per subscription complete the run."""
    tally = tally_of(published("stay_created", "a", "b"), handled(CREATED, "b", "a"))
    assert not tally.complete
    tally.add(Report(finished=True))
    assert tally.complete


def test_unhandled_event_is_missing() -> None:
    """The sentence for a missing event names channel, queue, job and both counts."""
    tally = tally_of(published("stay_created", "a", "b"), handled(CREATED, "a"), Report(finished=True))
    assert not tally.complete
    assert tally.missing() == ["stay_created → screenflow:screen-stay: 2 published, 1 handled"]


def test_equal_counts_of_different_events_do_not_complete_a_run() -> None:
    """A handled event that was not published keeps the run incomplete."""
    tally = tally_of(published("stay_created", "a"), handled(CREATED, "b"), Report(finished=True))
    assert not tally.complete


def test_handled_report_may_come_before_the_published_one() -> None:
    """Reports of different processes may come in any order."""
    tally = tally_of(handled(PRICED, "a"), Report(finished=True))
    assert not tally.complete
    tally.add(published("stay_priced", "a"))
    assert tally.complete


def test_repeat_is_a_duplicate_and_not_handled_twice() -> None:
    """Repeats are counted separately, per subscription."""
    tally = tally_of(handled(CREATED, "a", "a"), handled(CREATED, "a"), handled(PRICED, "a"))
    assert tally.duplicates == 2
    assert tally.total_handled == 2


def test_times_are_kept_by_channel() -> None:
    """Times are kept per channel, and without a channel all of them are returned."""
    tally = tally_of(handled(CREATED, "a", milliseconds=2.0), handled(PRICED, "a", milliseconds=5.0))
    assert tally.milliseconds("stay_priced") == [5.0]
    assert sorted(tally.milliseconds()) == [2.0, 5.0]
    assert tally.milliseconds("unknown") == []


def test_report_survives_its_way_through_a_pipe() -> None:
    """Decoding an encoded report gives an equal one, and the encoding has no line break."""
    report = Report(
        ready=True,
        subscriptions=[CREATED],
        published=[Published("stay_created", "a")],
        handled=[Handled(CREATED, "a", 1.5)],
        not_published=3,
        failures=["line one\nline two"],
    )
    assert b"\n" not in write_report(report)
    assert read_report(write_report(report)) == report


def test_outcome_of_a_good_run_has_no_problems() -> None:
    """Counts are summed over all subscriptions, and times are rounded to a tenth of a millisecond."""
    tally = tally_of(
        published("stay_created", "a"),
        published("stay_priced", "b"),
        handled(CREATED, "a", milliseconds=1.26),
        handled(PRICED, "b", milliseconds=9.0),
        Report(finished=True, not_published=1),
    )
    outcome = DemoOutcome.of(tally, seconds=1.234, server="Valkey 9.1.2", problems=[])
    assert outcome.published == 2
    assert outcome.handled == 2
    assert outcome.not_published == 1
    assert outcome.failed == 0
    assert outcome.duplicates == 0
    assert outcome.p50_ms == 1.3
    assert outcome.p99_ms == 9.0
    assert outcome.seconds == 1.23
    assert [each.handled for each in outcome.subscriptions] == [1, 1]
    assert outcome.problems == []


def test_outcome_of_a_bad_run_lists_its_problems() -> None:
    """Problems of the run, failures and missing events are listed, and without events there are no times."""
    tally = tally_of(published("stay_created", "a"), Report(finished=True, failures=["the handler raised"]))
    outcome = DemoOutcome.of(tally, seconds=0, server="Redis 7.0.15", problems=["a process died"])
    assert outcome.failed == 1
    assert outcome.p50_ms is None
    assert outcome.problems == [
        "a process died",
        "the handler raised",
        "stay_created → screenflow:screen-stay: 1 published, 0 handled",
    ]


def test_repeat_is_a_problem() -> None:
    """In a demo without crashes, an event that is handled twice is a problem."""
    tally = tally_of(published("stay_created", "a"), handled(CREATED, "a", "a"), Report(finished=True))
    outcome = DemoOutcome.of(tally, seconds=0, server="Redis 7.0.15", problems=[])
    assert outcome.problems == ["1 events were handled more than once"]


def test_overtaken_event_is_a_problem() -> None:
    """The events of an aggregate are handled in order, although some fail on purpose."""
    tally = tally_of(Report(finished=True, failed_on_purpose=2), Report(overtaken=1))
    outcome = DemoOutcome.of(tally, seconds=0, server="Redis 7.0.15", problems=[])
    assert outcome.failed_on_purpose == 2
    assert outcome.problems == ["1 events were overtaken by later ones"]


def test_overtaken_event_is_no_problem_without_the_rule() -> None:
    """It shows what the rule prevents."""
    outcome = DemoOutcome.of(
        tally_of(Report(overtaken=1)), seconds=0, server="Redis 7.0.15", problems=[], in_order=False
    )
    assert (outcome.overtaken, outcome.in_order, outcome.problems) == (1, False, [])


def test_time_of_an_event_that_failed_on_purpose_is_not_counted() -> None:
    """It would say more about the demo than about what it shows."""
    tally = tally_of(Report(handled=[Handled(CREATED, "a", None), Handled(CREATED, "b", 2.0)]))
    assert tally.handled(CREATED) == 2
    assert tally.milliseconds() == [2.0]


def test_repeat_after_a_failover_is_no_problem() -> None:
    """When a primary died, an event may have been handled twice; it is counted and is no problem."""
    tally = tally_of(published("stay_created", "a"), handled(CREATED, "a", "a"), Report(finished=True))
    failover = FailoverOutcome(
        killed="a:1", after_published=1, successor="a:2", took_over_s=2.1, published_again_s=None
    )
    outcome = DemoOutcome.of(tally, seconds=0, server="Redis 7.0.15", problems=[], failover=failover)
    assert outcome.problems == []
    assert outcome.duplicates == 1
