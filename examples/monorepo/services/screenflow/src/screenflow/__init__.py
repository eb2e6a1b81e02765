"""The screenflow service: it checks medical stays against rules before they are coded."""
