"""`domainstream dead-letters`: look at what could never become a job, send it once more, or throw it away."""
