"""Job names: each says what the consuming service does about an event."""

from enum import StrEnum


class BullMqJobs(StrEnum):
    """One name per subscription."""

    SCREEN_STAY = "screen-stay"
    OPTIMISE_STAY = "optimise-stay"
    REOPEN_STAY = "reopen-stay"
    PRICE_STAY = "price-stay"
    RECORD_OPTIMIZATION = "record-optimization"
    RECORD_PRICE = "record-price"
    ANNOUNCE_PRICE = "announce-price"
