"""Prompts that share a long common prefix: InstructGPT removed those, so that one form letter is not learned a hundred
times and no test prompt has its twin in training."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from django.db.models.functions import MD5, Left

from labeling.models import Project, Prompt
from labeling.models.prompts import PREFIX_CHARS

SHARE = 0.8
MAX_CANDIDATES = 5_000  # per batch of rows; a project with more of one beginning has other troubles


def is_near(one: str, other: str) -> bool:
    """The longer one's first 80 %, and no fewer than 100 characters, are the beginning of both."""
    needed = max(PREFIX_CHARS, int(SHARE * max(len(one), len(other))))
    return min(len(one), len(other)) >= needed and one[:needed] == other[:needed]


class Prefixes:
    """Texts by their beginnings: those in the project, and those of the file that are not written yet."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.written: dict[str, list[str]] = {}
        self.pending: dict[str, list[str]] = defaultdict(list)

    def load(self, texts: Iterable[str]) -> None:
        """Fetch what a batch of texts may be near to, in one query."""
        keys = {beginning_of(text) for text in texts if len(text) >= PREFIX_CHARS}
        self.written = defaultdict(list)
        if keys:
            rows = Prompt.objects.filter(project=self.project).annotate(prefix=MD5(Left("text", PREFIX_CHARS)))
            for text in rows.filter(prefix__in=keys).values_list("text", flat=True)[:MAX_CANDIDATES]:
                self.written[beginning_of(text)].append(text)

    def has_near(self, text: str) -> bool:
        key = beginning_of(text)
        return any(is_near(text, other) for other in (*self.written.get(key, ()), *self.pending.get(key, ())))

    def add(self, text: str) -> None:
        if len(text) >= PREFIX_CHARS:
            self.pending[beginning_of(text)].append(text)

    def forget_pending(self) -> None:
        self.pending.clear()


def beginning_of(text: str) -> str:
    """What the index of beginnings holds of a text."""
    return hashlib.md5(text[:PREFIX_CHARS].encode(), usedforsecurity=False).hexdigest()
