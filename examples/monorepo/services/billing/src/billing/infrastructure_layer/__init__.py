"""Connects the domain to Redis and BullMQ."""
