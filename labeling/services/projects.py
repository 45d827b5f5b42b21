"""Projects and their guidelines."""

from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet

from labeling.models import Guideline, Membership, Model, Project, Prompt, Role, Run, Snapshot, User

SEARCH_LIMIT = 8


@transaction.atomic
def create(*, by: User, **fields: Any) -> Project:
    """A new project; whoever makes it manages it."""
    project = Project(**fields)
    project.full_clean()
    project.save()
    Membership.objects.create(project=project, user=by, role=Role.MANAGER)
    return project


@transaction.atomic
def publish_guideline(*, project: Project, text: str, by: User) -> Guideline:
    """The next version. The project's row is locked: two at once get two numbers."""
    Project.objects.select_for_update().get(pk=project.pk)
    last = project.guidelines.aggregate(last=Max("version"))["last"] or 0
    guideline = Guideline(project=project, version=last + 1, text=text, author=by)
    guideline.full_clean()
    guideline.save()
    return guideline


def search(*, project: Project, text: str) -> dict[str, QuerySet[Any]]:
    """What has the words in its text or name. The fields are named here; nobody chooses them in the address."""
    return {
        "prompts": Prompt.objects.filter(project=project, text__icontains=text).order_by("-created_at")[:SEARCH_LIMIT],
        "runs": Run.objects.filter(project=project, name__icontains=text)[:SEARCH_LIMIT],
        "models": Model.objects.filter(project=project, name__icontains=text)[:SEARCH_LIMIT],
        "snapshots": Snapshot.objects.filter(project=project, name__icontains=text)[:SEARCH_LIMIT],
    }
