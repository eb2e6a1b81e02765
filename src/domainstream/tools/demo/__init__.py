"""`domainstream demo`: the example monorepo at work, counted.

The parent (`run`, `processes`) starts one process per service and one for the subscriber; each runs a program of
`child`. A child writes reports (`reporting`), one JSON object per line, to its standard output; `tally` counts them and
`screen` shows the counts. A child runs until its standard input closes, so it ends with its parent, however that ends.
"""
