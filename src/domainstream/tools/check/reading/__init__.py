"""Reads source files into the model, without importing them."""
