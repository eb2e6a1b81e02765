"""The worker's engine on BullMQ's scripts."""
