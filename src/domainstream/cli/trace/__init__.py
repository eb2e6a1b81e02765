"""`domainstream trace`: the whole story of a business transaction."""
