"""`domainstream streams`: which channels there are, and what is in them."""
