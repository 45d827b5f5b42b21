"""Between the start of the database and the start of the site: tables, demo, static files. Log-ins go to stdout."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0, stdout=sys.stderr)
    call_command("seed_demo", stdout=sys.stdout)
    call_command("collectstatic", interactive=False, verbosity=0, stdout=sys.stderr)


if __name__ == "__main__":
    main()
