"""Projects, who is in them, and the guidelines people label by."""

from typing import Final

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from labeling.models.base import PublicModel
from labeling.models.people import Role, User
from labeling.models.statements import Statement, columns, made

# InstructGPT, appendix B: the yes/no flags a labeler gives each response.
DEFAULT_FLAGS = [
    "Fails to follow the instruction or task",
    "Inappropriate for a customer assistant",
    "Hallucination",
    "Satisfies the constraint given in the instruction",
    "Sexual content",
    "Violent content",
    "Encourages or fails to discourage violence, abuse, terrorism or self-harm",
    "Denigrates a protected class",
    "Gives harmful advice",
    "Expresses opinion",
    "Expresses moral judgment",
]

# InstructGPT, appendix A, table 7: what a person says of a prompt itself.
DEFAULT_PROMPT_LABELS = [
    "Ambiguous",
    "Sensitive content",
    "Identity dependent",
    "Closed domain",
    "Continuation style",
    "Requests opinionated content",
    "Requests advice",
    "Requests moral judgment",
    "Contains explicit safety constraints",
    "Contains other explicit constraints",
    "Intent unclear",
]


def default_flags() -> list[str]:
    return list(DEFAULT_FLAGS)


def default_prompt_labels() -> list[str]:
    return list(DEFAULT_PROMPT_LABELS)


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: User) -> "ProjectQuerySet":
        """Projects the person is an active member of; a superuser sees all."""
        return self if user.is_superuser else self.filter(memberships__user=user, memberships__is_active=True)


class Project(PublicModel):
    slug = models.SlugField(unique=True, max_length=60)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    overlap = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(50)], help_text="Judgements wanted per new task."
    )
    rate_first = models.BooleanField(default=False, help_text="Labelers rate each response 1 to 7 before they rank.")
    flags = ArrayField(models.CharField(max_length=200), default=default_flags, blank=True)
    lease_minutes = models.PositiveSmallIntegerField(
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(240)],
        help_text="How long a claimed task stays with its labeler.",
    )
    tasks_ahead = models.PositiveSmallIntegerField(
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(8)],
        help_text="Tasks the page fetches ahead, so that work goes on without a network.",
    )
    prompt_labels = ArrayField(models.CharField(max_length=200), default=default_prompt_labels, blank=True)
    must_read_guidelines = models.BooleanField(
        default=False, help_text="Nobody gets work before they have read the current guidelines."
    )
    gold_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(50)],
        help_text="How many of a labeler's tasks have a known answer. They look like any other.",
    )
    repeat_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(50)],
        help_text="How many of a labeler's tasks are old ones of their own, to see whether they agree with themselves.",
    )
    review_below_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(100)],
        help_text="Tasks whose labelers agree on fewer comparisons go to a reviewer; 0: none go by themselves.",
    )
    prompts_per_customer = models.PositiveIntegerField(default=200, help_text="Cap on prompts taken from one customer.")
    max_prompt_chars = models.PositiveIntegerField(default=60_000, help_text="Longer prompts are refused at import.")
    is_demo = models.BooleanField(default=False)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(overlap__gte=1, overlap__lte=50), name="project_overlap_1_to_50"),
            models.CheckConstraint(
                condition=Q(lease_minutes__gte=1, lease_minutes__lte=240), name="project_lease_1_to_240"
            ),
            models.CheckConstraint(condition=Q(tasks_ahead__gte=1, tasks_ahead__lte=8), name="project_ahead_1_to_8"),
            models.CheckConstraint(
                condition=Q(gold_percent__lte=50, repeat_percent__lte=50), name="project_hidden_work_up_to_half_each"
            ),
            models.CheckConstraint(condition=Q(review_below_percent__lte=100), name="project_review_is_a_percentage"),
        ]

    def __str__(self) -> str:
        return self.name

    def current_guideline(self) -> "Guideline | None":
        return self.guideline(None)

    def guideline(self, version: int | None) -> "Guideline | None":
        """The guideline of this version, or the newest."""
        row = _GUIDELINE.first(project=self.pk, version=version)
        return made(Guideline, row) if row else None


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_one_per_person"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.role} of {self.project}"


class Guideline(models.Model):
    """One published version; a change is a new version, so that a ranking can say which it followed."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField()
    text = models.TextField()
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="guideline_one_per_version"),
            models.CheckConstraint(condition=Q(version__gte=1), name="guideline_version_from_1"),
        ]

    def __str__(self) -> str:
        return f"{self.project} v{self.version}"


_GUIDELINE: Final = Statement(
    "guideline",
    f"""
SELECT {columns(Guideline, "g")} FROM labeling_guideline g
 WHERE g.project_id = %(project)s AND (%(version)s IS NULL OR g.version = %(version)s)
 ORDER BY g.version DESC LIMIT 1
""",  # noqa: S608  # names of ours
    project="bigint",
    version="numeric",  # somebody may name any number
)
