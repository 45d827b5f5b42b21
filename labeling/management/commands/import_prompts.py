"""python manage.py import_prompts FILE --project SLUG"""

from labeling.management.import_command import ImportCommand
from labeling.models import ImportBatch


class Command(ImportCommand):
    kind = ImportBatch.Kind.PROMPTS
    personal_data = "refuse"
    help = "Read prompts from a file: deduplicated, capped per customer, split by customer. Safe to run twice."
