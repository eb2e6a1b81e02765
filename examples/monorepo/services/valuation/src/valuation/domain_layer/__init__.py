"""The domain of pricing. It does not know Redis, queues or the library's settings."""
