"""The parts that the stages are made of."""

from training.engine import lean_imports  # noqa: F401  # first: what it keeps out cannot be taken out later
