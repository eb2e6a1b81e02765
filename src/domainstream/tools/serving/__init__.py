"""`domainstream run`: a subscriber or worker as a process of production, with signals, logs and a health endpoint."""
