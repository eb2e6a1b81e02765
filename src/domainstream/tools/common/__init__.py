"""What several tools share: errors, and the formatting of values."""
