"""How long streams keep events.

All publishers and the subscriber use the same retention: publishers trim the streams they write to, and the subscriber
trims streams that are quiet.
"""

from datetime import timedelta

from domainstream import Retention

RETENTION = Retention(max_age=timedelta(hours=1))
