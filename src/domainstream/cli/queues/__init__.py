"""`domainstream queues`: how many jobs each queue has."""
