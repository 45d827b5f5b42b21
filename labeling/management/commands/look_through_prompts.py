"""python manage.py look_through_prompts --project SLUG [--for personal_data language use_case]"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.models import Project, PromptLook
from labeling.services import looks


class Command(BaseCommand):
    help = "Look through the prompts that were not yet looked through for these. Safe to stop and to run twice."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="The project's short name.")
        parser.add_argument("--for", nargs="+", dest="parts", choices=list(looks.PARTS), default=list(looks.PARTS))

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project “{options['project']}”.")
        look = looks.start(project=project, parts=options["parts"], by=None)
        if look is None:
            look = PromptLook.objects.get(project=project, state=PromptLook.State.RUNNING)
            self.stdout.write(f"Going on with the look for {', '.join(look.parts)} that was begun before.")
        look = looks.run(look.pk)
        if look.state != PromptLook.State.DONE:
            raise CommandError("A worker is at it already; its page shows how far it is.")
        self.stdout.write(f"{look.num_looked:,} prompts looked through.")
        for part, kinds in look.counts.items():
            for kind, num in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
                self.stdout.write(f"{looks.PARTS[part]}: {kind}: {num:,}")
