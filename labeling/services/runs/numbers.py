"""A run's metrics as a table: one line per logged step, one column per metric."""

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db.models import F, Func, TextField

from labeling.models import Run, RunMetric

HEAD = ("step", "time")


def names(run: Run) -> list[str]:
    """All metrics that the run has logged."""
    keys = Func(F("values"), function="jsonb_object_keys", output_field=TextField())
    return sorted(RunMetric.objects.filter(run=run).order_by().values_list(keys, flat=True).distinct())


def table(run: Run) -> Iterator[list[str]]:
    """The head, then the lines. What a step did not log, or was not finite, is an empty cell."""
    columns = names(run)
    yield [*HEAD, *columns]
    rows = RunMetric.objects.filter(run=run).order_by("id").values_list("step", "time", "values")
    for step, time, values in rows.iterator(1000):
        when = datetime.fromtimestamp(time, tz=UTC).isoformat(timespec="milliseconds")
        cells = ("" if values.get(name) is None else repr(values[name]) for name in columns)
        yield [str(step), when, *cells]
