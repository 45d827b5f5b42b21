"""python manage.py import_demonstrations FILE --project SLUG"""

from labeling.management.import_command import ImportCommand
from labeling.models import ImportBatch


class Command(ImportCommand):
    kind = ImportBatch.Kind.DEMONSTRATIONS
    help = "Read prompts with answers that people wrote. Safe to run twice."
