"""What connects the domain to Redis and BullMQ."""
