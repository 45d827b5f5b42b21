"""What every row that has a public address shares."""

import uuid

from django.db import models
from django.db.models.functions import Now


class PublicModel(models.Model):
    """A row with a UUID for URLs and the database's own creation time."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True
