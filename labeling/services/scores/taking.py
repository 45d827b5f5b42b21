"""Scores that a run left, as rows. They come in with the end of the run: all of them, or none.

A line names a response by its prompt and the hash of its text, so every response of that text gets the score.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from django.db import connection

from labeling.models import Model, Run, Stage
from training.contract.configs.score import REWARD_MODELS
from training.contract.records import ScoreRow

BATCH: Final = 2_000

_INSERT: Final = """
INSERT INTO labeling_responsescore (response_id, model_id, run_id, score)
SELECT DISTINCT ON (response.id) response.id, %(model)s, %(run)s, given.score
  FROM unnest(%(prompts)s::text[], %(texts)s::text[], %(scores)s::float8[]) AS given (prompt, text, score)
  JOIN labeling_prompt prompt ON prompt.project_id = %(project)s AND prompt.content_hash = given.prompt
  JOIN labeling_response response ON response.prompt_id = prompt.id
   AND encode(sha256(convert_to(response.text, 'UTF8')), 'hex') = given.text
ON CONFLICT (response_id, model_id) DO UPDATE SET score = EXCLUDED.score, run_id = EXCLUDED.run_id
"""


def take(*, run: Run, rows: Iterable[ScoreRow]) -> dict[str, int]:
    """How many responses got a score by some model, and how many lines there were. Call it in the transaction that
    ends the run, after its model is registered. A response that was scored by the model before has the new score."""
    judges = _judges(run)
    counts = {"num_lines": 0, "num_scores": 0}
    for batch in _batches(rows):
        counts["num_lines"] += len(batch)
        for place, judge in enumerate(judges):
            counts["num_scores"] += _insert(run, judge, batch, [row.scores[place] for row in batch])
    return counts


def _judges(run: Run) -> list[Model]:
    """The models in the order of each line's scores: of a reward run, the one that it made."""
    if run.stage == Stage.REWARD:
        return [Model.objects.get(run=run)]
    given = {item.name: item.model for item in run.inputs.select_related("model") if item.model}
    return [given[name] for name in REWARD_MODELS if name in given]


def _insert(run: Run, judge: Model, rows: Sequence[ScoreRow], scores: Sequence[float]) -> int:
    values: dict[str, Any] = {
        "run": run.pk,
        "project": run.project_id,
        "model": judge.pk,
        "prompts": [row.prompt_id for row in rows],
        "texts": [row.response_sha256 for row in rows],
        "scores": list(scores),
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        return int(cursor.rowcount)


def _batches(rows: Iterable[ScoreRow]) -> Iterator[list[ScoreRow]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch
