"""System checks: what would otherwise be found by a user."""
