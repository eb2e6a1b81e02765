"""The domain of coding. It does not know Redis, queues or the library's settings."""
