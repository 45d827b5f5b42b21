"""The figures that InstructGPT prints, for a project's own data and models: `panels.of_project(project)`."""

from django.utils import timezone

from labeling.models import Project
from labeling.services.panels import accuracy, answers, data, evaluations, lacking, length, tax
from labeling.services.panels.drawn import Chart, Line, Missing, Panel, PaperLine, Printed, Report, Source
from labeling.services.panels.evaluations import Comparable
from labeling.services.panels.lacking import Available

__all__ = ["Chart", "Line", "Missing", "Panel", "PaperLine", "Printed", "Report", "Source", "of_project"]


def of_project(project: Project) -> Report:
    """Everything is read from rows; what costs seconds is kept for a minute, or until a ranking comes or goes."""
    runs, models = evaluations.of_project(project), lacking.available(project)
    judges = accuracy.judges(project, runs)

    def measured(part: str) -> Comparable:
        return evaluations.comparable(runs, part)

    text, asked, true, harmful, reworded = map(measured, ("text", "policy", "truthfulqa", "harmful", "paraphrases"))
    flags = answers.flags_of(project)
    panels = [
        data.panel(project),
        accuracy.panel(project, judges),
        tax.panel(text, [*lacking.with_and_without_ptx(models), *_lacking(project, text, models)]),
        length.panel(project, judges, asked, _lacking(project, asked, models)),
        answers.truthfulness(flags, true, _lacking(project, true, models)),
        answers.harmlessness(flags, harmful, _lacking(project, harmful, models)),
        answers.instructions(reworded, _lacking(project, reworded, models)),
    ]
    return Report(made_at=timezone.now(), panels=panels)


def _lacking(project: Project, found: Comparable, models: Available) -> list[Missing]:
    return lacking.lacking(project, found, models)
