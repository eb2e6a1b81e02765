"""`domainstream demo`: the example monorepo at work, counted.

The parent starts one process per service and one for the subscriber; `children/` holds what runs there. A child writes
reports, one JSON object a line, to its standard output. It lives until its standard input ends, and so ends with its
parent, however that ends.

`command` → `start` → `run` → `processes` → `children/`; `reports` come back into `tally`, shown by `screen`.
"""
