"""The domain of billing. It does not know Redis, queues or the library's settings."""
