"""`manage.py try_storage`: whether this machine can write to the storage and read from it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.services import artifacts


class Command(BaseCommand):
    help = "Write a small file to the storage, read it back and remove it."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            artifacts.try_out()
        except OSError as error:
            raise CommandError(str(error)) from None
        self.stdout.write("The storage takes files, gives them back and removes them.")
