"""The parts of active_vs_random.py."""
