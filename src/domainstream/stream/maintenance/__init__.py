"""Regular work beside reading: trimming quiet streams and removing idle consumers."""
