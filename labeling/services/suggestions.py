"""What a prompt may be: a use case by its first words, a language by script or by Lingua. Offered, never set by itself.

The rules are English and plain on purpose: a manager sees each suggestion beside its prompt and takes it or not.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from labeling.models import Project, Prompt, UseCase
from labeling.services import kinds_of_prompt

if TYPE_CHECKING:
    from lingua import LanguageDetector

MAX_OFFERED: Final = 200
LOOKED_AT: Final = 2_000  # characters; a language shows long before
MIN_DISTANCE: Final = 0.05
LONG: Final = 400  # a question over so much text is about the text

# In this order: the first that fits. Anchored at the first words, where an instruction says what it wants.
RULES: Final = [
    (
        UseCase.SUMMARIZATION,
        r"(please )?(can you |could you )?(summari[sz]e|sum up|tl;?dr|give (me )?a summary|shorten)\b",
    ),
    (UseCase.SUMMARIZATION, r"in (one|two|three|\d+) sentences?\b"),
    (
        UseCase.REWRITE,
        r"(please )?(can you |could you )?"
        r"(rewrite|rephrase|reword|paraphrase|translate|correct|fix|improve|simplify|proofread|make (this|it|the))\b",
    ),
    (
        UseCase.CLASSIFICATION,
        r"(please )?(classify|categori[sz]e|label|sort (the|these)|rate (the|this)|is (this|the following)\b.*\bor\b"
        r"|[\w-]+ or (not )?[\w-]+\?)",
    ),
    (
        UseCase.EXTRACT,
        r"(please )?(extract|pull out|find all|list all|identify (all|the))\b"
        r"|which [\w ]+ are (named|mentioned|listed)\b",
    ),
    (
        UseCase.BRAINSTORMING,
        r"(please )?(brainstorm|suggest|(give|tell|name|list|think of|come up with)( me| us)? "
        r"(some|a few|several|\d+|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty)\b"
        r"|what are (some|a few|ten|five)|.{0,40}\bideas\b)",
    ),
    (UseCase.CLOSED_QA, r"(text|passage|article|context|document|given)\b.{0,40}?[:\n]"),
    (
        UseCase.GENERATION,
        r"(please )?(can you |could you )?(write|compose|draft|create|generate|make|describe|tell (me )?a (story|joke)"
        r"|continue|finish|imagine|act as|you are)\b",
    ),
    (
        UseCase.OPEN_QA,
        r"(what|who|whom|whose|which|where|when|why|how|is|are|was|were|does|do|did|can|could|should|would|will|has|have"
        r"|explain|tell me (about|why|how))\b",
    ),
]
_RULES: Final = [(use_case, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for use_case, pattern in RULES]


@dataclass(frozen=True)
class Suggestion:
    """ "" where there is nothing to suggest, or where the prompt has one already."""

    prompt: Prompt
    use_case: str
    language: str

    @property
    def use_case_label(self) -> str:
        return str(UseCase(self.use_case).label) if self.use_case else ""


def lacking() -> Q:
    """Prompts without a use case of their own, or without a language."""
    return Q(use_case=UseCase.OTHER) | Q(language="")


def offer(prompts: QuerySet[Prompt]) -> list[Suggestion]:
    """Of the prompts that lack something and can be told; at most 200."""
    rows = prompts.filter(lacking()).order_by("-pk")[: MAX_OFFERED * 5].iterator(MAX_OFFERED)
    found = (_suggest(prompt) for prompt in rows)
    offered = (suggestion for suggestion in found if suggestion.use_case or suggestion.language)
    return [suggestion for suggestion, _ in zip(offered, range(MAX_OFFERED), strict=False)]


@transaction.atomic
def take(*, project: Project, chosen: Iterable[tuple[str, str, str]]) -> int:
    """Set (public id, use case, language) where the prompt still lacks it. How many prompts were changed."""
    changed = set()
    for uid, use_case, language in chosen:
        prompts = Prompt.objects.filter(project=project, uid=uid)
        if use_case in UseCase.values and prompts.filter(use_case=UseCase.OTHER).update(use_case=use_case):
            changed.add(uid)
        code = kinds_of_prompt.language_code(language) if language else None
        if code and prompts.filter(language="").update(language=code):
            changed.add(uid)
    return len(changed)


def use_case_of(messages: Sequence[dict[str, str]]) -> str:
    """By the first words of the last message; several turns are a chat; "" when no rule fits."""
    if sum(message["role"] == "user" for message in messages) > 1:
        return UseCase.CHAT
    text = messages[-1]["content"].strip()
    found = next((use_case for use_case, pattern in _RULES if pattern.match(text)), "")
    if found == UseCase.OPEN_QA and len(text) > LONG and "\n" in text:
        return UseCase.CLOSED_QA
    return str(found)


def language_of(text: str) -> str:
    """A code, or "" where it cannot be told."""
    if code := kinds_of_prompt.language_by_script(text):
        return code
    return _by_lingua(text) if settings.LANGUAGE_DETECTION == "lingua" else ""


def _suggest(prompt: Prompt) -> Suggestion:
    return Suggestion(
        prompt=prompt,
        use_case=use_case_of(prompt.messages) if prompt.use_case == UseCase.OTHER else "",
        language=language_of(prompt.text) if not prompt.language else "",
    )


def _by_lingua(text: str) -> str:
    found: Any = _detector().detect_language_of(text[:LOOKED_AT])
    return str(found.iso_code_639_1.name.lower()) if found is not None else ""


@cache
def _detector() -> "LanguageDetector":
    """Its models are read as they are needed; once per process. What lies too near to another language is not told."""
    from lingua import LanguageDetectorBuilder

    builder = LanguageDetectorBuilder.from_all_languages()
    return builder.with_minimum_relative_distance(MIN_DISTANCE).build()
