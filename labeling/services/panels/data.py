"""Panel 1: which prompts there are, as the paper's tables 1, 6 and 8 say it of its own."""

from typing import Any, Final, cast

from django.core.cache import cache
from django.db.models import Count

from labeling.models import Demonstration, Project, Prompt, PromptSource, Ranking, Split, UseCase
from labeling.services import prompt_tables
from labeling.services.agreement import Figure
from labeling.services.panels import paper
from labeling.services.panels.drawn import Chart, Line, Missing, Panel, Source
from labeling.services.prompt_tables import KEPT_SECONDS, Tables

PAGE: Final = Source("Prompts in tables", "progress")
MOST_LANGUAGES: Final = 8
ABOUT: Final[dict[str, Any]] = {
    "key": "data",
    "title": "Data distribution",
    "question": "What are the models trained and asked on, and how does it differ from InstructGPT's data?",
}


def panel(project: Project) -> Panel:
    tables = prompt_tables.of(project)
    if not tables.splits:
        why = "There is no prompt yet."
        return Panel(**ABOUT, missing=[Missing(why, "Import prompts", "imports", query={"kind": "prompts"})])
    charts = [_use_cases(tables), _sizes(project), _languages(tables), _customers(tables), _lengths(tables)]
    caveats = ["Everything in use was counted, so there are no intervals."]
    caveats += ["The paper counts lengths in tokens (table 10), Podium in characters."] if tables.lengths else []
    return Panel(**ABOUT, says=_says(tables), charts=charts, caveats=caveats, missing=_missing(tables))


def _use_cases(tables: Tables) -> Chart:
    values = {choice.label: choice.value for choice in UseCase}
    lines = [
        Line(str(name), Figure(share / 100, num=num), PAGE, paper.use_case(values[name]), f"{num:,}")
        for name, num, share in tables.use_cases
    ]
    return Chart("Use cases", lines, hint="share of the prompts in use", is_bars=True)


def _sizes(project: Project) -> Chart:
    """By what a prompt serves for: it was answered by a person, ranked, or may be sampled from."""
    kept = cache.get_or_set(f"panel-sizes:{project.pk}", lambda: _counts(project), KEPT_SECONDS)
    rows = cast(list[tuple[str, str, str, int]], kept)
    lines = [
        Line(
            f"{data}, {Split(split).label.lower()}, {PromptSource(source).label.lower()}",
            Figure(num, num=num),
            PAGE,
            paper.size(data, split, source),
        )
        for data, split, source, num in rows
    ]
    return Chart("Sizes", lines, unit="count", hint="prompts by what they serve for, split and source", is_bars=True)


def _counts(project: Project) -> list[tuple[str, str, str, int]]:
    prompts = Prompt.objects.in_use().filter(project=project).order_by()
    written = Demonstration.objects.counted().filter(prompt__project=project)
    ranked = Ranking.objects.counted().filter(task__project=project)
    used: dict[str, Any] = {
        "SFT": prompts.filter(pk__in=written.order_by().values("prompt")),
        "Reward model": prompts.filter(pk__in=ranked.order_by().values("task__prompt")),
        "PPO": prompts,
    }
    order = list(Split.values)
    return [
        (data, split, source, num)
        for data, found in used.items()
        for split, source, num in sorted(
            found.values_list("split", "source").annotate(num=Count("pk")),
            key=lambda row: (order.index(row[0]), row[1]),
        )
    ]


def _languages(tables: Tables) -> Chart:
    lines = [
        Line(name, Figure(share / 100, num=num), PAGE, paper.ENGLISH if name == "en" else None, f"{num:,}")
        for name, num, share in tables.languages[:MOST_LANGUAGES]
    ]
    return Chart("Languages", lines, hint="share of the prompts in use", is_bars=True)


def _customers(tables: Tables) -> Chart:
    lines = [
        Line(
            str(Split(row["split"]).label),
            Figure(row["mean"], num=row["num_customers"]),
            PAGE,
            paper.per_customer(row["split"]),
            f"{row['num_customers']:,} customer{'' if row['num_customers'] == 1 else 's'}, the busiest {row['most']:,}",
        )
        for row in tables.customers
    ]
    return Chart("Prompts per customer", lines, unit="number", hint="mean; the paper's are of PPO data", is_bars=True)


def _lengths(tables: Tables) -> Chart:
    lines = [
        Line(row["name"], Figure(float(row["mean"]), num=row["count"]), PAGE, note=f"median {row['median']:,.0f}")
        for row in tables.lengths
    ]
    return Chart("Lengths", lines, unit="characters", hint="mean characters of a prompt", is_bars=True)


def _says(tables: Tables) -> list[str]:
    total = sum(num for _, num, _ in tables.use_cases)
    name, _, share = tables.use_cases[0]
    values = {choice.label: choice.value for choice in UseCase}
    here = {values[name]: share / 100 for name, _, share in tables.use_cases}
    most = f"{name} is the most frequent use case: {share:.1f} % of {total:,} prompts"
    furthest = UseCase(max(paper.USE_CASES, key=lambda value: abs(here.get(value, 0) - paper.USE_CASES[value])))
    apart = f"{100 * here.get(furthest, 0):.1f} % here, {100 * paper.USE_CASES[furthest]:.1f} % there"
    return [f"{most} (InstructGPT: Generation, 45.6 %).", f"Furthest from the paper is {furthest.label}: {apart}."]


def _missing(tables: Tables) -> list[Missing]:
    unknown = next((num for name, num, _ in tables.languages if name == "not known"), 0)
    if not unknown:
        return []
    one = "prompt has" if unknown == 1 else "prompts have"
    return [Missing(f"{unknown:,} {one} no language.", "Look through them", "prompts_look")]
