"""Panel 4: who prefers what is long: people, the reward model, and so the policies."""

from collections.abc import Mapping
from typing import Any, Final, cast

from django.core.cache import cache
from django.db import connection

from labeling.models import Model, Project
from labeling.services import bias, kept
from labeling.services.agreement import Figure, Scope
from labeling.services.panels import words
from labeling.services.panels.accuracy import Judge
from labeling.services.panels.drawn import Chart, Line, Missing, Panel, Source
from labeling.services.panels.evaluations import Comparable, figure, kind_of, source_of

ABOUT: Final[dict[str, Any]] = {
    "key": "length",
    "title": "Length bias",
    "question": "Does being longer win, with people and with machines?",
}
CAVEATS: Final = [
    "A longer answer may be a better one: that it wins is no proof of a bias. A policy that grows longer from round to"
    " round while its reward rises is.",
    "The paper prints no figure of it.",
]
GROUPS: Final = {
    "less_than_half": "The better one is less than half as long",
    "shorter": "The better one is shorter",
    "alike": "About as long (within 10 %)",
    "longer": "The better one is longer",
    "twice_or_more": "The better one is twice as long or more",
}
CORRELATION: Final = "correlation within prompts; 0 is blind to length"
SAMPLED: Final = "mean length by model, oldest first; every prompt weighs the same"
MOST_MODELS: Final = 8
KEPT_SECONDS: Final = 60
NORMAL_95: Final = 1.96
_LENGTHS: Final = """
SELECT model_id, count(*), sum(num), avg(mean), stddev_samp(mean)
  FROM (SELECT r.model_id, r.prompt_id, count(*) AS num, avg(r.num_chars) AS mean
          FROM labeling_response r JOIN labeling_prompt p ON p.id = r.prompt_id
         WHERE p.project_id = %s GROUP BY 1, 2) each
 GROUP BY 1 ORDER BY 1 DESC LIMIT %s
"""


def panel(project: Project, judges: list[Judge], answers: Comparable, missing: list[Missing]) -> Panel:
    people: bias.Report | None = kept.get("biases", project, Scope())
    if people is None:
        why = "Biases are being counted. Look again in a minute."
        missing = [Missing(why, "Biases", "biases"), *missing]
    charts = [
        Chart("People", _people(people), hint="of two responses, how often the longer one wins", mark=0.5),
        Chart(
            "Reward model: right by length", _by_length(judges), hint="pairs of prompts that did not train", mark=0.5
        ),
        Chart("Reward model: score and length", _correlations(judges), unit="number", hint=CORRELATION, mark=0.0),
        Chart("Policies: tokens", answers.lines("response_tokens"), unit="tokens", hint=_where(answers)),
        Chart("Sampled responses", _sampled(project), unit="characters", hint=SAMPLED),
    ]
    return Panel(
        **ABOUT, says=_says(people, judges), charts=charts, caveats=[*answers.caveats(), *CAVEATS], missing=missing
    ).drawn()


def _people(report: bias.Report | None) -> list[Line]:
    if report is None or not report.longer.share.num:
        return []
    effects = [("Any longer", report.longer), *((f"Longer by {one.label}", one) for one in report.ratios)]
    source = Source("Biases", "biases")
    return [
        Line(label, effect.share, source, note=f"{effect.share.num:,} pairs")
        for label, effect in effects
        if effect.share.value is not None
    ]


def _by_length(judges: list[Judge]) -> list[Line]:
    """Of the newest."""
    found: Mapping[str, Any] = (judges[0].report.get("by_length_difference") or {}) if judges else {}
    return [
        Line(label, figure(found[name]), source_of(judges[0].run), note=f"{figure(found[name]).num:,} pairs")
        for name, label in GROUPS.items()
        if found.get(name)
    ]


def _correlations(judges: list[Judge]) -> list[Line]:
    """One number each; the run measures no interval."""
    return [
        Line(judge.model.name, Figure(value), source_of(judge.run))
        for judge in judges
        if (value := (judge.report.get("length") or {}).get("correlation_within_prompts")) is not None
    ]


def _where(answers: Comparable) -> str:
    return f"mean length of the answers to {answers.data}" if answers.data else "mean length of the answers"


def _sampled(project: Project) -> list[Line]:
    """Mean of prompts' means, with its interval over prompts."""
    found = cache.get_or_set(f"panel-lengths:{project.pk}", lambda: _lengths(project), KEPT_SECONDS)
    rows = cast(list[tuple[Any, ...]], found)
    models = Model.objects.filter(pk__in=[row[0] for row in rows]).select_related("run__round").defer("run__result")
    known = {model.pk: model for model in models}
    return [_of_model(known[row[0]], row) for row in reversed(rows) if row[0] in known]


def _lengths(project: Project) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_LENGTHS, [project.pk, MOST_MODELS])
        return list(cursor.fetchall())


def _of_model(model: Model, row: tuple[Any, ...]) -> Line:
    _, num_prompts, num, mean, deviation = row
    value, half = float(mean), NORMAL_95 * float(deviation or 0) / num_prompts**0.5
    low, high = (max(0.0, value - half), value + half) if deviation is not None else (None, None)
    label = model.name if model.kind == Model.Kind.EXTERNAL else f"{model.name} ({kind_of(model)})"
    note = f"{num:,} responses" + (f", round {model.run.round.number}" if model.run and model.run.round else "")
    return Line(
        label, Figure(value, low, high, int(num), num_prompts), Source(model.name, "model", model.uid), note=note
    )


def _says(report: bias.Report | None, judges: list[Judge]) -> list[str]:
    said = []
    if report and report.longer.share.num:
        said.append(f"People: {report.longer.in_words('Of two responses, the longer one')}")
    if judges and (lines := _correlations(judges[:1])):
        value = lines[0].figure.value or 0.0
        how = "hardly looks at length" if abs(value) < 0.1 else f"{'likes' if value > 0 else 'dislikes'} length"
        said.append(
            f"{judges[0].model.name} {how}: score and length correlate by {words.signed(value)} within prompts."
        )
    return said
