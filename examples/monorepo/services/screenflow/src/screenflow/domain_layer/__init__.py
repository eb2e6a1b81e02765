"""What screening is about: no Redis, no queue, no clock but the events' own."""
