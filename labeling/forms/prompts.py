"""Finding, adding and changing prompts."""

from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet

from labeling.models import Project, Prompt, PromptSource, Response, Split, UseCase
from labeling.services import annotations, kinds_of_prompt, personal_data
from labeling.services.imports import reasons, texts

ANY = ("", "Any")
KEEP = ("", "Leave as it is")
MORE = ("split", "dataset", "source", "who", "personal_data", "label")  # filters that few people need


class PromptFilterForm(forms.Form):
    q = forms.CharField(required=False, max_length=200, label="Text", widget=forms.TextInput(attrs={"type": "search"}))
    use_case = forms.ChoiceField(required=False, choices=[ANY, *UseCase.choices])
    language = forms.ChoiceField(required=False)
    split = forms.ChoiceField(required=False, choices=[ANY, *Split.choices])
    dataset = forms.ChoiceField(required=False, label="Data set")
    source = forms.ChoiceField(required=False, choices=[ANY, *PromptSource.choices])
    who = forms.CharField(required=False, max_length=120, label="Customer or author")
    personal_data = forms.ChoiceField(required=False, label="Personal data")
    label = forms.ChoiceField(required=False, label="Label")
    responses = forms.ChoiceField(required=False, choices=[ANY, ("with", "With"), ("without", "Without")])
    state = forms.ChoiceField(
        required=False, choices=[("", "In use"), ("retired", "Retired"), ("all", "All")], label="State"
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self._choices("language", "None known")
        self._choices("dataset", "None")
        self.fields["personal_data"].choices = [  # type: ignore[attr-defined]
            ANY,
            ("any", "Some kind"),
            ("none", "None seen"),
            *((kind, kind) for kind in personal_data.KINDS),
        ]
        self.fields["label"].choices = [ANY, *((label, label) for label in project.prompt_labels)]  # type: ignore[attr-defined]

    def _choices(self, name: str, nothing: str) -> None:
        values = Prompt.objects.filter(project=self.project).order_by(name).values_list(name, flat=True).distinct()
        field = self.fields[name]
        known = [(value, value) if value else ("-", nothing) for value in values[:300]]
        field.choices = [ANY, *known]  # type: ignore[attr-defined]

    def first(self) -> list[forms.BoundField]:
        """What most people filter by."""
        return [field for field in self if field.name not in MORE]

    def more(self) -> list[forms.BoundField]:
        return [field for field in self if field.name in MORE]

    def is_more_asked(self) -> bool:
        return any(self.data.get(name) for name in MORE)

    def apply(self) -> QuerySet[Prompt]:
        """The prompts asked for. A filter that makes no sense finds nothing, rather than everything."""
        prompts = Prompt.objects.filter(project=self.project)
        if not self.is_valid():
            return prompts.none()
        asked = self.cleaned_data
        for name in ("use_case", "split", "source"):
            if asked[name]:
                prompts = prompts.filter(**{name: asked[name]})
        for name in ("language", "dataset"):
            if asked[name]:
                prompts = prompts.filter(**{name: "" if asked[name] == "-" else asked[name]})
        if asked["who"]:
            prompts = prompts.filter(Q(customer__icontains=asked["who"]) | Q(author__name__icontains=asked["who"]))
        if asked["personal_data"]:
            prompts = prompts.filter(_has_personal_data(asked["personal_data"]))
        if asked["label"]:
            prompts = prompts.filter(annotations.has_label(project=self.project, label=asked["label"]))
        if asked["state"] != "all":
            prompts = prompts.filter(is_retired=asked["state"] == "retired")
        if asked["responses"]:
            has = Exists(Response.objects.filter(prompt=OuterRef("pk")))
            prompts = prompts.filter(has if asked["responses"] == "with" else ~has)
        return prompts.filter(text__icontains=asked["q"]) if asked["q"] else prompts


def _has_personal_data(asked: str) -> Q:
    known = {"any": ~Q(personal_data=[]), "none": Q(personal_data=[])}
    return known.get(asked) or Q(personal_data__contains=[asked])


def language(given: str) -> str:
    code = kinds_of_prompt.language_code(given) if given else ""
    if code is None:
        raise forms.ValidationError("Write a code such as en, de or zh.")
    return code


class PromptForm(forms.Form):
    """One prompt by hand. Earlier turns go in front, one message per box."""

    text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8}), strip=False, label="Prompt", help_text="What the person asks."
    )
    system = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}), strip=False, required=False, label="System message"
    )
    use_case = forms.ChoiceField(choices=UseCase.choices)
    language = forms.CharField(max_length=16, required=False, help_text="A code such as en. Empty: guessed by script.")

    def clean_language(self) -> str:
        return language(self.cleaned_data["language"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in ("text", "system"):
            try:
                texts.checked(cleaned.get(name) or "", where="the text")
            except reasons.Refused as refusal:
                self.add_error(name, f"Not taken: {refusal.detail}.")
        if "text" in cleaned and not cleaned["text"].strip():
            self.add_error("text", "Write the prompt.")
        return cleaned

    def messages(self) -> list[dict[str, str]]:
        """Browsers send CR LF; what is kept has LF."""
        parts = [("system", self.cleaned_data["system"]), ("user", self.cleaned_data["text"])]
        return [{"role": role, "content": text.replace("\r\n", "\n")} for role, text in parts if text.strip()]

    def fields_of_prompt(self) -> dict[str, str]:
        given = self.cleaned_data["language"]
        guessed = given or kinds_of_prompt.language_by_script(self.cleaned_data["text"])
        return {"use_case": self.cleaned_data["use_case"], "language": guessed}


class PromptChangeForm(forms.ModelForm[Prompt]):
    class Meta:
        model = Prompt
        fields = ["use_case", "language", "split", "is_retired"]
        labels = {"is_retired": "Retired: in no new task and no new snapshot"}
        help_texts = {"language": "A code such as en."}

    def clean_language(self) -> str:
        return language(self.cleaned_data["language"])


class ManyChangeForm(forms.Form):
    """What to set on many prompts at once; an empty field stays as it is."""

    use_case = forms.ChoiceField(required=False, choices=[KEEP, *UseCase.choices])
    language = forms.CharField(required=False, max_length=16, help_text="A code such as en. Empty: leave as it is.")
    split = forms.ChoiceField(required=False, choices=[KEEP, *Split.choices])
    state = forms.ChoiceField(required=False, choices=[KEEP, ("retire", "Retire"), ("use", "Use again")])

    def clean_language(self) -> str:
        return language(self.cleaned_data["language"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not any(cleaned.values()):
            raise forms.ValidationError("Say what to change.")
        return cleaned

    def changes(self) -> dict[str, Any]:
        found = {name: self.cleaned_data[name] for name in ("use_case", "language", "split") if self.cleaned_data[name]}
        if self.cleaned_data["state"]:
            found["is_retired"] = self.cleaned_data["state"] == "retire"
        return found
