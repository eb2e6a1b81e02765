"""What has to be done beside reading: trimming, removing idle consumers, checking the eviction policy."""
