"""Regular work beside reading: trimming, removing idle consumers, checking the eviction policy."""
