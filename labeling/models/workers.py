"""Workers as they tell of themselves. Nothing rests on these rows: who has a run is told by the run's own."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Worker(models.Model):
    """A Celery worker, by its node name. It writes `seen_at` every few seconds for as long as it lives."""

    name = models.CharField(max_length=200, unique=True)
    queues = ArrayField(models.CharField(max_length=60))
    num_processes = models.PositiveIntegerField(help_text="How many jobs it does at once.")
    process_ids = ArrayField(models.PositiveIntegerField(), default=list, help_text="Its own and those that do jobs.")
    gpus = models.JSONField(default=list, help_text='[{"name": "…", "memory_mib": 0, "used_mib": 0, "percent": 0}]')
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True, blank=True, help_text="It said that it goes.")

    def __str__(self) -> str:
        return self.name
