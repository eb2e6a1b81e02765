"""Entries that can never become a job: stored, listed, redriven, purged."""
