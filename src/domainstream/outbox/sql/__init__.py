"""The SQL of an outbox: the only place of the publishing half that knows databases."""
