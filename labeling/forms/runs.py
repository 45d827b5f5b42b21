"""A stage's config as a form: fields, help, ranges and choices come from the config's own description."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Q
from django.forms.boundfield import BoundField
from django.utils.formats import date_format

from labeling.models import EvaluationFile, Model, Project, Run, Snapshot, Stage, User
from labeling.services import evaluation_files, evaluations, rounds, runs
from training.contract import configs
from training.contract.configs import GROUPS, STAGES, ConfigError, FieldSpec

TINY = "tiny"
MOST_CHOICES = 200
GROUP_LABELS = {
    "model": "Model",
    "data": "Data",
    "optimisation": "Optimisation",
    "ppo": "PPO",
    "sampling": "Sampling",
    "limits": "Limits and machine",
}
OPEN_GROUPS = ("optimisation", "ppo", "sampling")
ACRONYMS = {
    "kl": "KL",
    "ptx": "PTX",
    "gae": "GAE",
    "ema": "EMA",
    "adam": "Adam",
    "lr": "LR",
    "ppo": "PPO",
    "lora": "LoRA",
    "truthfulqa": "TruthfulQA",
}


Row = Snapshot | Model | EvaluationFile


@dataclass(frozen=True)
class Group:
    label: str
    fields: list[BoundField]
    is_open: bool


class StageForm(forms.Form):
    """Everything that a run of one stage needs. `clean` lets the stage's own config judge, which names the field."""

    name = forms.CharField(max_length=120, required=False, help_text="Leave it empty for the next number.")
    note = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="Why this run?")
    idempotency_key = forms.CharField(max_length=64, widget=forms.HiddenInput)
    preset = forms.CharField(max_length=40, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, project: Project, stage: str, user: User | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project, self.stage, self.user = project, stage, user
        self.specs = {spec.name: spec for spec in shown_specs(stage)}
        self.objects: dict[str, dict[str, Row]] = {}
        for spec in self.specs.values():
            self.fields[spec.name] = self._input(spec) if spec.input else _option(spec)
            if spec.input == "model":
                self.fields["hub_name"] = _hub_name()
            if spec.input == "file":
                self.fields[f"{spec.name}_upload"] = _upload(spec)

    def top_fields(self) -> Iterator[BoundField]:
        """The name, and what the run reads, but for files."""
        yield self["name"]
        for spec in self.specs.values():
            if spec.input and spec.input != "file":
                yield self[spec.name]
            if spec.input == "model":
                yield self["hub_name"]

    def file_pairs(self) -> list[tuple[BoundField, BoundField]]:
        """The files that it may read: one that the project has, or a new one."""
        return [(self[name], self[f"{name}_upload"]) for name, spec in self.specs.items() if spec.input == "file"]

    def groups(self) -> Iterator[Group]:
        for group in GROUPS:
            bound = [self[spec.name] for spec in self.specs.values() if spec.group == group and not spec.input]
            if bound:
                is_open = group in OPEN_GROUPS or any(field.errors for field in bound)
                yield Group(GROUP_LABELS[group], bound, is_open)

    def missing(self) -> Iterator[tuple[str, str]]:
        """Inputs that a run needs and the project lacks: (label, kind of snapshot, or "" for a model)."""
        for spec in self.specs.values():
            if is_needed(self.stage, spec) and spec.input not in ("", "model") and not self.objects[spec.name]:
                yield label_of(spec), spec.input.partition(":")[2]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name, spec in self.specs.items():
            if spec.input == "file" and (upload := cleaned.get(f"{name}_upload")):
                self._take(name, upload)
        if not self.errors:
            given: dict[str, Any] = {"inputs": self.inputs(), "files": self.files_chosen()}
            try:
                runs.check(project=self.project, stage=self.stage, config=self.config(), **given)
            except ConfigError as error:
                self.add_error(error.field if error.field in self.fields else None, _sentence(error))
        return cleaned

    def config(self) -> dict[str, Any]:
        """The options, without inputs that are rows."""
        options = {name: self.cleaned_data[name] for name, spec in self.specs.items() if not spec.input}
        for name, spec in self.specs.items():
            text = (self.cleaned_data["hub_name"] or self.cleaned_data[name]) if spec.input == "model" else ""
            if text and text not in self.objects[name]:
                options[name] = text
        return options

    def inputs(self) -> dict[str, Snapshot | Model]:
        """The snapshots and models that were chosen."""
        chosen = {name: self.objects[name].get(self.cleaned_data[name]) for name in self.objects}
        if self.cleaned_data.get("hub_name"):
            chosen = {name: value for name, value in chosen.items() if self.specs[name].input != "model"}
        return {name: value for name, value in chosen.items() if isinstance(value, Snapshot | Model)}

    def files_chosen(self) -> dict[str, EvaluationFile]:
        """The files that were chosen, or just brought."""
        chosen = {name: self.objects[name].get(self.cleaned_data[name]) for name in self.objects}
        return {name: value for name, value in chosen.items() if isinstance(value, EvaluationFile)}

    def _take(self, name: str, upload: Any) -> None:
        """Keep a file that was brought, and choose it: a form that comes back for another field has it still."""
        try:
            file = evaluation_files.receive(project=self.project, kind=name, upload=upload, user=self.user)
        except evaluation_files.FileError as error:
            self.add_error(f"{name}_upload", str(error))
            return
        uid = str(file.uid)
        self.objects[name][uid] = file
        field: Any = self.fields[name]
        if uid not in dict(field.choices):
            field.choices = [*field.choices, (uid, _describe(file))]
        self.cleaned_data[name] = uid
        sent: Any = self.data.copy()  # type: ignore[attr-defined]
        sent[self.add_prefix(name)] = uid
        self.data = sent

    def _input(self, spec: FieldSpec) -> forms.Field:
        self.objects[spec.name] = {str(row.uid): row for row in _rows(self.project, spec)[:MOST_CHOICES]}
        choices = [(uid, _describe(row)) for uid, row in self.objects[spec.name].items()]
        if spec.input == "model":
            choices = [(TINY, "tiny: built and pretrained within this run"), *choices]
        needed = is_needed(self.stage, spec) and spec.input != "model"
        empty = [] if needed and choices else [("", "none" if choices else "there is none yet")]
        return forms.ChoiceField(
            choices=[*empty, *choices],
            required=needed,
            label=label_of(spec),
            help_text=spec.help,
            error_messages={"required": "Choose one. If there is none, make it first."},
        )


class RoundForm(forms.Form):
    preset = forms.ChoiceField(choices=[(name, name) for name in configs.PRESETS])
    responses_per_prompt = forms.IntegerField(
        min_value=2, max_value=9, initial=4, label="Responses per prompt", help_text="InstructGPT: 4 to 9."
    )
    is_automatic = forms.BooleanField(
        required=False, initial=True, label="Go on by itself", help_text="Otherwise it waits for you after each step."
    )
    num_evaluation_prompts = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=evaluations.MAX_PROMPTS,
        initial=0,
        label="Held-out prompts on which people compare the new policy with the one before",
        help_text="0: no comparison.",
    )
    kl_budget = forms.FloatField(
        required=False,
        min_value=rounds.KL_BUDGET.min,
        max_value=rounds.KL_BUDGET.max,
        label="KL budget",
        widget=forms.NumberInput(attrs={"step": "any", "placeholder": "preset's"}),
        help_text="In nats. Past it PPO's alarm can ring, and the round waits for you. Empty: the preset's.",
    )

    def clean_num_evaluation_prompts(self) -> int:
        return self.cleaned_data["num_evaluation_prompts"] or 0


class TasksForm(forms.Form):
    """Ranking tasks from the responses of a generate run."""

    num_responses = forms.IntegerField(min_value=2, max_value=9, label="Responses per task")
    num_wanted = forms.IntegerField(min_value=1, max_value=50, label="Judgements per task")


class NoteForm(forms.Form):
    note = forms.CharField(required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}))
    tags = forms.CharField(required=False, max_length=200, help_text="Parted by commas.")

    def clean_tags(self) -> list[str]:
        return list(dict.fromkeys(tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()))


class ModelNoteForm(forms.Form):
    note = forms.CharField(
        required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="It is on the card, too."
    )


def initial_values(*, project: Project, stage: str, preset: str, clone: Run | None = None) -> dict[str, Any]:
    """What a form starts from: a preset or an earlier run, with the newest inputs that fit."""
    values: dict[str, Any] = {"preset": preset, "idempotency_key": uuid.uuid4().hex}
    if clone:
        inputs = clone.inputs.select_related("snapshot", "model")
        given = {item.name: str(row.uid) for item in inputs if (row := item.snapshot or item.model)}
        given |= {item.name: str(item.file.uid) for item in clone.files.select_related("file")}
        return {**values, **clone.config, **given, "note": clone.note}
    values |= configs.preset(stage, preset)
    return values | _newest_inputs(project, stage, skip=set(values))


def shown_specs(stage: str) -> list[FieldSpec]:
    """Without addresses of servers: a web form must not make a worker open one."""
    specs = configs.specs(STAGES[stage])
    return [spec for spec in specs if spec.name != "backend" and not spec.name.startswith("server_")]


def is_needed(stage: str, spec: FieldSpec) -> bool:
    return spec.required or (stage, spec.name) == (Stage.GENERATE, "model")


def label_of(spec: FieldSpec) -> str:
    text = " ".join(ACRONYMS.get(word, word) for word in spec.name.split("_"))
    label = text[:1].upper() + text[1:]
    return f"{label} ({spec.unit})" if spec.unit and spec.unit not in spec.name else label


def _newest_inputs(project: Project, stage: str, *, skip: set[str]) -> dict[str, str]:
    """Only what must be given: an optional input is the person's own choice."""
    found: dict[str, str] = {}
    for spec in shown_specs(stage):
        wanted = spec.input and is_needed(stage, spec) and spec.name not in skip
        if wanted and (newest := _rows(project, spec).first()):
            found[spec.name] = str(newest.uid)
    return found


def _rows(project: Project, spec: FieldSpec) -> Any:
    """What may be chosen for an input, the likeliest first."""
    if spec.input.startswith("snapshot:"):
        kind = spec.input.removeprefix("snapshot:")
        ready = Snapshot.objects.filter(project=project, kind=kind, state=Snapshot.State.READY)
        # Prompts of a human evaluation are held out: nothing to learn from.
        return ready.annotate(is_of_evaluation=Q(filters__has_key="evaluation")).order_by(
            "is_of_evaluation", "-created_at"
        )
    if spec.input == "file":
        return EvaluationFile.objects.filter(project=project, kind=spec.name)
    kind = Model.Kind.REWARD if spec.input == "reward_model" else Model.Kind.POLICY
    models = Model.objects.filter(project=project, kind=kind, is_retired=False)
    return models.order_by("-is_current", "-created_at")


def _describe(row: Row) -> str:
    day = date_format(row.created_at, "j M")
    if isinstance(row, Snapshot | EvaluationFile):
        return f"{row} · {row.num_rows:,} {'row' if row.num_rows == 1 else 'rows'} · {day}"
    return f"{row.name} · {'current policy · ' if row.is_current else ''}{day}"


def _option(spec: FieldSpec) -> forms.Field:
    shared: dict[str, Any] = {"label": label_of(spec), "help_text": spec.help}
    if spec.type is bool:
        return forms.BooleanField(required=False, **shared)
    if spec.choices:
        coerce: Any = spec.type
        return forms.TypedChoiceField(choices=[(value, value) for value in spec.choices], coerce=coerce, **shared)
    if spec.type is int:
        return forms.IntegerField(min_value=_whole(spec.min), max_value=_whole(spec.max), **shared)
    if spec.type is float:
        widget = forms.NumberInput(attrs={"step": "any"})
        return forms.FloatField(min_value=spec.min, max_value=spec.max, widget=widget, **shared)
    return forms.CharField(required=False, max_length=500, empty_value="", **shared)


def _hub_name() -> forms.Field:
    return forms.RegexField(
        runs.HUB_NAME,
        required=False,
        label="… or a model of the Hugging Face hub",
        help_text="As owner/name. Only then is the network used.",
    )


def _upload(spec: FieldSpec) -> forms.Field:
    label = label_of(spec) if spec.name in ACRONYMS else label_of(spec).lower()
    return forms.FileField(
        required=False,
        label=f"… or a new {label} file",
        help_text=f"At most {evaluation_files.MAX_BYTES // 1_000_000} MB. It is kept, and can be chosen again.",
        widget=forms.FileInput(attrs={"accept": ".csv,.jsonl,.ndjson"}),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _sentence(error: ConfigError) -> str:
    return error.message[:1].upper() + error.message[1:] + "."
