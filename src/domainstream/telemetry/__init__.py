"""What domainstream says about itself while it runs: every signal is a row of one table, emitted only through it.

Signals are log records for now. A signal's name is the first word of the message, its fields follow as `name=value`
and also stand in the record's `extra`, prefixed with `domainstream_`. Loggers are named `domainstream.{stage}`.

Ids, counts and reasons are logged; payloads and passwords never are.
"""

from domainstream.telemetry.emitting import FIELD_PREFIX, emit
from domainstream.telemetry.signals import Signal

__all__ = ["FIELD_PREFIX", "Signal", "emit"]
