"""An event's name holds a verb in the past tense, somewhere."""

import pytest
from support.channels import define, fix_of, problems_of

PREFIX = "DOMAIN_SHOP_ORDER_"

REGULAR = "EVALUATED CREATED CALCULATED CANCELLED CANCELED SHIPPED SUBMITTED DENIED PLAYED REQUEUED FEEDED AGREED FREED"
IRREGULAR = """
    SENT PAID BUILT WITHDRAWN OVERWRITTEN REPAID RESENT REBUILT UNDONE OVERRIDDEN UNDERTAKEN OUTSOLD MISLED FORESEEN
    UPHELD BEGUN BROKEN BOUGHT CHOSEN DRAWN DRIVEN FOUND FORGOTTEN FROZEN GIVEN GONE GROWN HELD HIDDEN KEPT LEFT LENT
    LOST MADE MET SOLD SHUT SPENT SPLIT TAKEN TAUGHT THROWN TOLD UNDERSTOOD WON WRITTEN LED FED BLED SHED READ RESET
    SET CUT BROADCAST REBROADCAST OFFSET SLID SWUNG
"""
SIMPLE_PAST = "BEGAN BROKE CAME FELL GAVE KNEW RAN ROSE TOOK WAS WENT WERE WROTE"
SEVERAL_WORDS = """
    RE_EVALUATED_FROM_IGNORED OPTIMIZATION_EVALUATED PAYMENT_SENT_TO_BANK MARKED_AS_SPEED NEEDED_REVIEW WENT_OFFLINE
"""
NOT_PAST = """
    EVALUATE EVALUATES CREATING CREATION SEND SENDS PAY NEED FEED SPEED PROCEED SPEEDING SUCCEED EXCEED EMBED SEED
    BREED RED HUNDRED OVERFEED RESEED SENDING RE_EVALUATE NEEDS_REVIEW SPEED_FEED STATUS_UPDATE UPDATE_STATUS ED MP3
"""


@pytest.mark.parametrize("event_name", f"{REGULAR} {IRREGULAR} {SIMPLE_PAST} {SEVERAL_WORDS}".split())
def test_event_name_in_the_past_tense_is_accepted(event_name: str) -> None:
    """One past form among the words is enough, regular or irregular, also behind a prefix such as RE or OVER."""
    (channel,) = define(PREFIX + event_name)

    assert channel.event_name == event_name.lower()


@pytest.mark.parametrize("event_name", NOT_PAST.split())
def test_event_name_without_a_past_tense_is_refused(event_name: str) -> None:
    """A command, a noun or a progressive is refused, also when it happens to end in -ED."""
    (problem,) = problems_of(PREFIX + event_name)

    assert f"{event_name} is not in the past tense" in problem


@pytest.mark.parametrize(
    ("event_name", "fixed"),
    [
        ("EVALUATE", "EVALUATED"),
        ("EVALUATES", "EVALUATED"),
        ("CREATING", "CREATED"),
        ("SEND", "SENT"),
        ("SENDING", "SENT"),
        ("RUNNING", "RUN"),
        ("PAY", "PAID"),
        ("REPAY", "REPAID"),
        ("OVERWRITE", "OVERWRITTEN"),
        ("DENY", "DENIED"),
        ("PLAY", "PLAYED"),
        ("SHIP", "SHIPPED"),
        ("SUBMIT", "SUBMITTED"),
        ("PASS", "PASSED"),
        ("NEED", "NEEDED"),
        ("FEED", "FED"),
        ("PROCEED", "PROCEEDED"),
        ("SPEEDING", "SPED"),
        ("BE", "BEEN"),
        ("RE_EVALUATE", "RE_EVALUATED"),
        ("MP3", "MP3_HAPPENED"),
    ],
)
def test_refusal_says_what_to_type(event_name: str, fixed: str) -> None:
    """The whole name is given with its last word in the past tense."""
    (problem,) = problems_of(PREFIX + event_name)

    assert fix_of(problem) == PREFIX + fixed


def test_past_form_in_the_aggregate_does_not_count() -> None:
    """Only the event's name is asked for a past tense."""
    assert problems_of("DOMAIN_SHOP_BUILT_SEND")
