"""The domain of screening. It does not know Redis, queues or the library's settings."""
