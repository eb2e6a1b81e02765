"""The Django app. Its label, by which `manage.py migrate` knows it, is `domainstream`."""

from django.apps import AppConfig


class DomainStreamConfig(AppConfig):
    """The outbox of a Django project."""

    name = "domainstream.integrations.django"
    label = "domainstream"
    verbose_name = "Domain events"
    default_auto_field = "django.db.models.BigAutoField"  # pyright: ignore[reportAssignmentType]
