"""Celery is a doorbell: a message is a job's name and an id. What waits, waits in Postgres."""

import logging

from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def ring(job: str, row_id: int) -> bool:
    """Tell a worker. A broker that is away costs nothing but time, because the sweepers ring again."""
    from config.celery import app  # late: settings must be ready

    try:
        app.send_task(f"labeling.jobs.{job}", args=[row_id], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("the broker did not take %s(%s): %s; the sweeper will ring again", job, row_id, error)
        return False
    return True
