#!/usr/bin/env python
"""Django's commands, with Postgres and the broker up: they join running embedded servers or start them meanwhile."""

import os
import sys

from config import embedded

WITHOUT_SERVERS = {"help", "version", "--help", "-h", "--version", "collectstatic", "check", "diffsettings", "test"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if len(sys.argv) < 2 or sys.argv[1] in WITHOUT_SERVERS:
        run_command()
        return
    try:
        with embedded.services():
            run_command()
    except embedded.EmbeddedError as error:
        sys.exit(f"podium: {error}")


def run_command() -> None:
    try:
        from django.core.management import execute_from_command_line  # late: settings read the environment
    except ImportError as error:
        sys.exit(f"podium: {error}. Run `make up` first, or use the virtual environment: .venv/bin/python manage.py …")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
