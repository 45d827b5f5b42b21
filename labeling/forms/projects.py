"""Forms of projects and guidelines."""

from typing import Any

from django import forms
from django.utils.text import slugify

from labeling.models import Guideline, Project


class LinesField(forms.CharField):
    """A list, one entry a line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={"rows": 12}), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = (line.strip() for line in (super().to_python(value) or "").splitlines())
        return list(dict.fromkeys(line for line in lines if line))


class NewProjectForm(forms.ModelForm[Project]):
    class Meta:
        model = Project
        fields = ["name", "slug", "description"]
        labels = {"slug": "Short name for addresses"}
        help_texts = {
            "name": "As people see it in the top bar.",
            "slug": "Small letters, digits and hyphens. Left empty, it is made from the name. It never changes.",
            "description": "One or two sentences: what is ranked here, and for what.",
        }
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].required = False

    def clean_slug(self) -> str:
        slug = self.cleaned_data["slug"] or slugify(self.cleaned_data.get("name", ""))[:60]
        if not slug:
            raise forms.ValidationError("Give a short name with at least one Latin letter or digit.")
        if Project.objects.filter(slug=slug).exists():
            raise forms.ValidationError("Another project has this short name; choose a different one.")
        return str(slug)


class ProjectForm(forms.ModelForm[Project]):
    prompt_labels = LinesField(
        required=False,
        label="Labels of prompts",
        help_text="One a line. Labelers say which of these hold of a prompt. A change holds from then on.",
    )
    flags = LinesField(
        required=False, help_text="One a line. Labelers answer yes or no for each response. Empty: no flags are asked."
    )

    class Meta:
        model = Project
        fields = [
            "name",
            "description",
            "overlap",
            "rate_first",
            "flags",
            "prompt_labels",
            "lease_minutes",
            "tasks_ahead",
            "must_read_guidelines",
            "gold_percent",
            "repeat_percent",
            "review_below_percent",
            "prompts_per_customer",
            "max_prompt_chars",
        ]
        labels = {
            "overlap": "Rankings per task",
            "rate_first": "Rate first, then rank",
            "lease_minutes": "Minutes a task is held",
            "tasks_ahead": "Tasks held ahead",
            "must_read_guidelines": "Guidelines must be read first",
            "gold_percent": "Known answers among the work, %",
            "repeat_percent": "Repeats of one's own work, %",
            "review_below_percent": "Review below this agreement, %",
            "prompts_per_customer": "Prompts per customer",
            "max_prompt_chars": "Longest prompt, in characters",
        }
        help_texts = {
            "overlap": "How many people judge each new task. Two or more are needed to measure agreement.",
            "must_read_guidelines": "No work before one confirms the current version; each new one asks again.",
            "gold_percent": "How many of a labeler's ranking tasks have a known answer. They look like any other.",
            "repeat_percent": "How many are old ones of their own, at least 20 tasks or a day later.",
            "review_below_percent": "When all wanted rankings of a task are in and agree on fewer comparisons, it goes "
            "to a reviewer. 0: none goes by itself.",
            "tasks_ahead": "How many more tasks a labeler's page fetches, 1 to 8, so that work goes on without a "
            "network. Near the end of the queue it is always one.",
            "lease_minutes": "After this time without a sign of work, another labeler may get the task.",
        }
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def clean_flags(self) -> list[str]:
        flags: list[str] = self.cleaned_data["flags"]
        if len(flags) > 30:
            raise forms.ValidationError("At most 30 flags: labelers answer each of them for every response.")
        if any(len(flag) > 200 for flag in flags):
            raise forms.ValidationError("A flag has at most 200 characters.")
        return flags

    def clean_prompt_labels(self) -> list[str]:
        labels: list[str] = self.cleaned_data["prompt_labels"]
        if len(labels) > 30:
            raise forms.ValidationError("At most 30 labels: each is read for every prompt.")
        if any(len(label) > 200 for label in labels):
            raise forms.ValidationError("A label has at most 200 characters.")
        return labels


class GuidelineForm(forms.ModelForm[Guideline]):
    class Meta:
        model = Guideline
        fields = ["text"]
        labels = {"text": "Guidelines in Markdown"}
        help_texts = {"text": "Headings, lists, emphasis, tables and code. HTML and images are left out."}
        widgets = {"text": forms.Textarea(attrs={"rows": 24})}
