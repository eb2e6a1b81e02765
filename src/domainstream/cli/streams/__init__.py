"""`domainstream streams`: lists channels and shows their events."""
