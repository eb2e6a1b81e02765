"""What several tools share: errors, suggestions for misspelled names, and the formatting of values."""
