"""What each tab of a run's page shows."""

from typing import Any, Final

from labeling.forms.runs import NoteForm, TasksForm
from labeling.models import Model, Run, RunLog, RunMetric
from labeling.services import runs
from labeling.services.comparison import figures
from labeling.views import run_report
from training.contract import configs
from training.contract.configs import STAGES

LOG_BYTES_SHOWN = 200_000
TAIL_CHARACTERS = 4000
LEFT_BESIDE_OUTPUTS = ("metrics.jsonl", "log.txt", "manifest.json")
ACCURACY_ORDER: Final = ("train", "valid", "test", "held_out_labelers", "held_out_labelers_new_prompts")
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


def context(run: Run, tab: str) -> dict[str, Any]:
    return _CONTEXTS[tab](run)


def _overview(run: Run) -> dict[str, Any]:
    logs = list(RunLog.objects.filter(run=run).order_by("-id")[:3])
    return {
        "inputs": run.inputs.select_related("snapshot", "model"),
        "read_files": run.files.select_related("file"),
        "events": run.events.order_by("-id"),
        "model": Model.objects.filter(run=run).first(),
        "figures": figures(run.result.get("summary", {})),
        "accuracies": accuracies(run.result.get("summary", {})),
        "responses": run.result.get("responses"),
        "log_tail": "".join(piece.text for piece in reversed(logs))[-TAIL_CHARACTERS:],
        "log_last_id": logs[0].pk if logs else 0,
        "note_form": NoteForm(initial={"note": run.note, "tags": ", ".join(run.tags)}),
        "tasks_form": TasksForm(
            initial={"num_responses": run.config.get("num_responses"), "num_wanted": run.project.overlap}
        ),
        **_curves(run),
    }


def accuracies(report: dict[str, Any]) -> list[tuple[str, Any]]:
    """Pair accuracies of a reward model's report with their intervals, beside the human agreement."""
    found = report.get("accuracy")
    groups = sorted(found.items(), key=lambda item: _place(item[0])) if isinstance(found, dict) else []
    rows = [(name.replace("_", " "), value) for name, value in groups]
    return [*rows, ("two labelers agree", report.get("human_agreement"))] if rows else []


def _place(group: str) -> int:
    """Postgres orders the keys of a JSON object by length."""
    return ACCURACY_ORDER.index(group) if group in ACCURACY_ORDER else len(ACCURACY_ORDER)


def _curves(run: Run) -> dict[str, Any]:
    """For browsers without JavaScript: the last steps as a table."""
    rows = list(reversed(RunMetric.objects.filter(run=run).order_by("-id")[:30]))
    names = list(dict.fromkeys(name for row in rows for name in row.values if not name.startswith("perf/")))[:10]
    return {"names": names, "rows": [(row.step, [row.values.get(name) for name in names]) for row in rows]}


def _log(run: Run) -> dict[str, Any]:
    pieces, size = [], 0
    for piece in RunLog.objects.filter(run=run).order_by("-id").iterator(20):
        pieces.append(piece)
        size += len(piece.text)
        if size > LOG_BYTES_SHOWN:
            break
    return {
        "text": "".join(piece.text for piece in reversed(pieces)),
        "last_id": pieces[0].pk if pieces else 0,
        "is_cut": size > LOG_BYTES_SHOWN,
    }


def _files(run: Run) -> dict[str, Any]:
    return {"files": sorted(run.result.get("files", {}).items()), "others": LEFT_BESIDE_OUTPUTS if run.result else ()}


def _exact(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _config(run: Run) -> dict[str, Any]:
    changed = runs.changes_from_preset(run)
    rows = [
        (spec, _exact(run.config[spec.name]), spec.name in changed, _exact(changed.get(spec.name)))
        for spec in configs.specs(STAGES[run.stage])
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
    "report": run_report.context,
    "curves": _curves,
    "log": _log,
    "files": _files,
    "config": _config,
}
