"""Stores bills."""
