"""`domainstream groups`, `lag` and `pending`: how far each consumer group has come."""
