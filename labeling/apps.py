"""The Django application."""

from django.apps import AppConfig


class LabelingConfig(AppConfig):
    name = "labeling"

    def ready(self) -> None:
        from labeling import checks  # noqa: F401  (registers the system checks)
