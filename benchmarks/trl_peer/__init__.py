"""TRL measured on the same work; it lives in environments of its own (`benchmarks/trl_peer/environments.py`)."""
