"""`manage.py seed_demo`: make the demo project once, and print its log-ins."""

from typing import Any

from django.core.management.base import BaseCommand

from labeling.services import demo


class Command(BaseCommand):
    help = "Make the demo project with its people, prompts and rankings, unless it is there already."

    def handle(self, *args: Any, **options: Any) -> None:
        for log_in in demo.seed():
            self.stdout.write(f"{log_in.role:8}  {log_in.email}  {log_in.password}")
