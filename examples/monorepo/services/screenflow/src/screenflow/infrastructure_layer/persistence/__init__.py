"""Stores the outcome of runs."""
