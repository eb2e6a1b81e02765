"""Job names: each says what the consuming service does about an event."""

from enum import StrEnum


class BullMqJobs(StrEnum):
    """One name per subscription."""

    SCREEN_STAY = "screen-stay"
    RESCREEN_STAY = "rescreen-stay"
    OPTIMISE_STAY = "optimise-stay"
    REOPEN_STAY = "reopen-stay"
    PRICE_STAY = "price-stay"
    BILL_STAY = "bill-stay"
    CORRECT_BILL = "correct-bill"
    CANCEL_BILL = "cancel-bill"
    RECORD_OPTIMIZATION = "record-optimization"
    RECORD_PRICE = "record-price"
    ANNOUNCE_PRICE = "announce-price"
