"""Podium's training engine. Knows nothing of Django: it reads and leaves files in a run directory."""
