"""The screenflow service: it runs rules over medical stays before anybody works on them."""
