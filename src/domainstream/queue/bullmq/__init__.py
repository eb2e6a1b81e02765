"""BullMQ queues: its scripts, what adds jobs, inspection."""
