"""python manage.py import_rankings FILE --project SLUG"""

from labeling.management.import_command import ImportCommand
from labeling.models import ImportBatch


class Command(ImportCommand):
    kind = ImportBatch.Kind.RANKINGS
    help = "Read prompts with 2 to 32 responses and people's ranks, ratings or comparisons. Safe to run twice."
