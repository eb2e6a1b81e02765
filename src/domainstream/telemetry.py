"""Every signal we emit, as one table. A signal is a log record whose message starts with its name.

=========================  =======  ==========================================================================
signal                     level    fields
=========================  =======  ==========================================================================
publish.retried            WARNING  attempt, batches, reason: attempt 1, 2, 4, 8, ... failed, and is repeated
publish.failed             ERROR    channel, messages, outcome, reason: a batch was given up
publish.sender_failed      ERROR    a mistake in a sender, with its traceback
stream.loss                ERROR    group, channel, entries, after, before: entries went before the group got them
stream.loss_hook_failed    ERROR    group, channel: what listens for losses raised, with its traceback
stream.group_healed        WARNING  group, channel: the group had vanished, and is made again at the beginning
stream.eviction_unknown    WARNING  reason: the server does not say whether it evicts keys
stream.reclaimed           INFO     group, channel, entries: entries that had been left alone were taken over
stream.consumer_removed    INFO     group, channel, consumer: it was idle and had nothing pending
subscriber.retried         WARNING  pause_s, reason: reading or handing over failed, and is repeated after the pause
subscriber.refused         ERROR    channel, entry, delivery, reason: the server takes others, this entry comes again
subscriber.dead_letter     WARNING  channel, entry, error, reason: an entry that can never become a job was put aside
subscriber.upkeep_failed   WARNING  upkeep, reason: it is done again in the next round
=========================  =======  ==========================================================================

The worker logs sentences of its own about jobs. Loggers are named `domainstream.{stage}`. Fields also
stand in the record's `extra`, prefixed with `domainstream_`. Ids, counts and reasons are logged; payloads and passwords
never are.
"""

import logging


def emit(logger: logging.Logger, level: int, signal: str, **fields: object) -> None:
    """Log `signal` with its fields, unless the level is off."""
    if logger.isEnabledFor(level):
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        logger.log(
            level, "%s %s", signal, text, extra={f"domainstream_{name}": value for name, value in fields.items()}
        )
