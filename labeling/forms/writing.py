"""The forms of prompts: what a manager asks for, and what a labeler writes or ticks, as drafts and the API have it."""

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from labeling.forms.prompts import language
from labeling.models import PromptBrief, UseCase
from labeling.services.annotations import Annotation
from labeling.services.asking import MAX_PROMPTS_ASKED
from labeling.services.writing import MAX_PAIRS, MIN_PAIRS, Writing

REMOVE = re.compile(r"remove_pair_(\d{1,3})")


class AskForPromptsForm(forms.Form):
    """What kind of prompts, how many, and by how many people each."""

    style = forms.ChoiceField(choices=PromptBrief.Style.choices, label="Way of writing")
    text = forms.CharField(
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 5}),
        label="What to write about",
        help_text="For “from a use case”, describe the case: who asks whom for what. Otherwise a hint, or nothing.",
    )
    use_case = forms.ChoiceField(required=False, choices=[("", "The writer chooses"), *UseCase.choices])
    language = forms.CharField(
        required=False,
        max_length=16,
        help_text="A code such as en. Empty: the writer says. Given: only people who read it.",
    )
    num_tasks = forms.IntegerField(min_value=1, max_value=MAX_PROMPTS_ASKED, initial=20, label="How many tasks")
    num_wanted = forms.IntegerField(
        min_value=1, max_value=50, initial=1, label="Prompts per task", help_text="Each by another person."
    )
    priority = forms.IntegerField(min_value=-100, max_value=100, initial=0, help_text="Higher is handed out first.")

    def clean_language(self) -> str:
        return language(self.cleaned_data["language"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("style") == PromptBrief.Style.USER_BASED and not (cleaned.get("text") or "").strip():
            self.add_error("text", "Describe the use case: the prompt is written from it.")
        return cleaned


def read_writing(post: QueryDict) -> dict[str, Any]:
    """What the writing form holds, finished or not, as a draft keeps it. Also does what its + and − buttons say."""
    pairs = [
        {"query": query, "response": response}
        for query, response in zip(post.getlist("pair_query"), post.getlist("pair_response"), strict=False)
    ][:MAX_PAIRS]
    action = post.get("action", "")
    if action == "add_pair" and len(pairs) < MAX_PAIRS:
        pairs.append({"query": "", "response": ""})
    if (match := REMOVE.fullmatch(action)) and int(match[1]) < len(pairs):
        del pairs[int(match[1])]
    names = ("instruction", "query", "use_case", "language", "note")
    return {**{name: post.get(name, "") for name in names}, "pairs": pairs}


def fill_writing(filled: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows. A draft is what some client saved: what does not fit is empty."""
    given = filled.get("pairs")
    pairs = [pair for pair in given if isinstance(pair, dict)] if isinstance(given, list) else []
    pairs = [{name: str(pair.get(name) or "") for name in ("query", "response")} for pair in pairs[:MAX_PAIRS]]
    pairs += [{"query": "", "response": ""} for _ in range(MIN_PAIRS - len(pairs))]
    names = ("instruction", "query", "use_case", "language", "note")
    return {**{name: str(filled.get(name) or "") for name in names}, "pairs": pairs}


def to_writing(payload: Mapping[str, Any], circumstances: Mapping[str, Any]) -> Writing:
    return Writing(**payload, **circumstances)


def read_annotation(post: QueryDict) -> dict[str, Any]:
    return {"labels": post.getlist("labels"), "is_none": post.get("is_none") == "1", "note": post.get("note", "")}


def fill_annotation(asked: list[str], filled: Mapping[str, Any]) -> dict[str, Any]:
    """The labels and whether they are ticked."""
    given = filled.get("labels")
    ticked = given if isinstance(given, list) else []
    return {
        "labels": [(label, label in ticked) for label in asked],
        "is_none": filled.get("is_none") is True,
        "note": str(filled.get("note") or ""),
    }


def to_annotation(payload: Mapping[str, Any], circumstances: Mapping[str, Any]) -> Annotation:
    return Annotation(**payload, **circumstances)
