"""`domainstream replay`: events of a channel become jobs once more."""
