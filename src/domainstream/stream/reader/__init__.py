"""Reading channels as a consumer of a group: new entries, pending entries, and what was lost."""
