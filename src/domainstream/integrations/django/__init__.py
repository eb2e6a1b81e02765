"""A Django app with the tables of an outbox, an outbox for `transaction.atomic`, and its commands in `manage.py`.

Add `"domainstream.integrations.django"` to `INSTALLED_APPS`. Needs the extra `django`.
"""

from domainstream.integrations.django.outbox import DjangoOutbox

__all__ = ["DjangoOutbox"]
