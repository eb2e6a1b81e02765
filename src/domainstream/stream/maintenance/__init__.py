"""Tasks beside reading: trimming, idle consumers, the eviction policy."""
