"""Turns the Python files of a system into the model by parsing them, without importing any."""
