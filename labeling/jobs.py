"""Celery functions: fetch an id, call a service. A message holds nothing else."""
