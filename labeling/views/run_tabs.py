"""What each tab of a run's page shows."""

from dataclasses import dataclass
from typing import Any, Final

from django.http import QueryDict

from labeling.forms.runs import NoteForm, TasksForm
from labeling.models import Model, Run, RunMetric, RunUsage
from labeling.services import runs
from labeling.services.comparison import figures
from labeling.services.runs import files, logs
from labeling.views import run_report
from training.contract import configs
from training.contract.configs import EVERY_STAGE

LOG_CHARACTERS: Final = 200_000
TAIL_CHARACTERS: Final = 4000
SAID_ELSEWHERE: Final = (
    "accuracy",
    "human_agreement",
    "by_category",
    "by_rank_distance",
    "by_length_difference",
    "calibration",
)
LABELS: Final = {
    "overview": "Overview",
    "report": "Report",
    "curves": "Curves",
    "log": "Log",
    "files": "Files",
    "config": "Config",
}


def labels(run: Run) -> dict[str, str]:
    """The tabs that the run has something for."""
    return LABELS if run_report.has_report(run) else {key: label for key, label in LABELS.items() if key != "report"}


@dataclass(frozen=True)
class Asked:
    """Which tab, what of it, and for whom."""

    tab: str
    query: QueryDict
    is_manager: bool


def context(run: Run, asked: Asked) -> dict[str, Any]:
    return _CONTEXTS[asked.tab](run, asked)


def _overview(run: Run, asked: Asked) -> dict[str, Any]:
    return {
        "inputs": run.inputs.select_related("snapshot", "model"),
        "read_files": run.files.select_related("file"),
        "events": run.events.order_by("-id"),
        "model": Model.objects.filter(run=run).first(),
        "figures": other_figures(run.result.get("summary", {})),
        "accuracies": accuracies(run.result.get("summary", {})),
        "responses": run.result.get("responses"),
        "tail": logs.tail(run, num_chars=TAIL_CHARACTERS),
        "note_form": NoteForm(initial={"note": run.note, "tags": ", ".join(run.tags)}),
        "tasks_form": TasksForm(
            initial={"num_responses": run.config.get("num_responses"), "num_wanted": run.project.overlap}
        ),
        **_curves(run, asked),
    }


def other_figures(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What neither the table of accuracies says nor, by groups, the report of a reward model."""
    said = SAID_ELSEWHERE if accuracies(report) else ()
    return figures({name: value for name, value in report.items() if name not in said})


def accuracies(report: dict[str, Any]) -> list[tuple[str, Any]]:
    """Pair accuracies of a reward model's report with their intervals, beside the human agreement."""
    found = report.get("accuracy")
    if not isinstance(found, dict) or not found:
        return []
    # Postgres orders the keys of a JSON object by length.
    known = [(label, found[name]) for name, label in run_report.GROUPS.items() if name in found]
    others = [(name.replace("_", " "), value) for name, value in found.items() if name not in run_report.GROUPS]
    return [*known, *others, ("Two labelers agree", report.get("human_agreement"))]


def _curves(run: Run, _: Asked) -> dict[str, Any]:
    """For browsers without JavaScript: the last steps as a table."""
    rows = list(reversed(RunMetric.objects.filter(run=run).order_by("-id")[:30]))
    names = list(dict.fromkeys(name for row in rows for name in row.values if not name.startswith("perf/")))[:10]
    return {
        "names": names,
        "rows": [(row.step, [row.values.get(name) for name in names]) for row in rows],
        "has_usage": run.is_live or RunUsage.objects.filter(run=run).exists(),
    }


def _log(run: Run, asked: Asked) -> dict[str, Any]:
    """The end that goes on by itself; or lines that hold a text; or the lines around one."""
    text, line = asked.query.get("q", "").strip()[:200], _number(asked.query.get("line", ""))
    if text:
        return {"q": text, "found": logs.search(run, text, after=_number(asked.query.get("after", "")))}
    if line:
        return {"line": line, "lines": logs.around(run, line)}
    return {"tail": logs.tail(run, num_chars=LOG_CHARACTERS)}


def _files(run: Run, asked: Asked) -> dict[str, Any]:
    """Only managers look into files: responses.jsonl tells whose response is whose, and reviewers rank blind."""
    file = files.find(run, asked.query.get("show", "")) if asked.is_manager else None
    return {"files": files.listed(run), "preview": files.preview(run, file) if file else None}


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _exact(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _config(run: Run, _: Asked) -> dict[str, Any]:
    changed = runs.changes_from_preset(run)
    rows = [
        (spec, _exact(run.config[spec.name]), spec.name in changed, _exact(changed.get(spec.name)))
        for spec in configs.specs(EVERY_STAGE[run.stage])
        if spec.name in run.config and (not spec.input or run.config[spec.name])
    ]
    return {
        "options": rows,
        "num_changed": len(changed),
        "inputs": run.inputs.select_related("snapshot", "model"),
        "read_files": run.files.select_related("file"),
    }


_CONTEXTS: Final = {
    "overview": _overview,
    "report": lambda run, _: run_report.context(run),
    "curves": _curves,
    "log": _log,
    "files": _files,
    "config": _config,
}
