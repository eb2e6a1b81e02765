"""`domainstream dead-letters`: inspects, redrives or purges dead-lettered entries."""
