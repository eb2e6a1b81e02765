"""How long streams keep events; the same for all who publish and for the subscriber, which tidies quiet streams."""

from datetime import timedelta

from domainstream import Retention

RETENTION = Retention(max_age=timedelta(hours=1), max_unread_age=timedelta(hours=24))
