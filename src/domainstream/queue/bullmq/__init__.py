"""BullMQ queues: its scripts, the forwarder, inspection."""
