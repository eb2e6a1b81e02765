"""Edits of existing files: each returns the source with one addition, or unchanged if it has it already."""
