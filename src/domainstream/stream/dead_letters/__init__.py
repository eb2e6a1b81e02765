"""Keeps, redrives and inspects entries that can never become a job."""
