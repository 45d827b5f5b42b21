"""The parts of real_preferences.py."""
