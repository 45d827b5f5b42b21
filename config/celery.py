"""The Celery application: queues `default` and `gpu`."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

from config.children import end_group_with

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("podium")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")


@worker_init.connect
def end_with_supervisor(**_: Any) -> None:
    """A worker that looks for a broker does not hear that it should go, and its broker went with the supervisor."""
    if supervisor := os.environ.get("PODIUM_SUPERVISOR"):
        end_group_with(int(supervisor))
