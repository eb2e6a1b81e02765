"""What domainstream reports about itself while it runs. Everything that is reported is a row of a table."""

from domainstream.telemetry.signals import FIELD_PREFIX, Signal, emit

__all__ = ["FIELD_PREFIX", "Signal", "emit"]
