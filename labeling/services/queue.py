"""The queue of open slots in SQL: the claim is one indexed statement whose cost is that of the slots it looks at."""

import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.cache import caches

from labeling.models import Project, Prompt, Slot, Task, User
from labeling.models.statements import PARAMETER, Statement, columns, made, width

COUNT_TO: Final = 100  # "100 or more" is enough to know
PLACE_SECONDS: Final = 7 * 24 * 3600
_places: Final = caches["process"]
START: Final = (32_767, 0)  # above every priority: the whole queue lies ahead

# It goes through the open slots in their order, most urgent first, but begins where this labeler last was (`priority`,
# `after`): what lies before is mostly done by them, and stepping over it would cost more with each task they do. What
# comes back there is found in the last part, or by others. A slot that another claim has locked is passed over, never
# waited for. LATERAL draws rows one by one, in their order, until one can be locked: as a plain join the planner turned
# the two sides around, and the most urgent slot no longer came first. The limit tells the planner that they are few.
CLAIM: Final = f"""
WITH claimed AS (
  UPDATE labeling_slot SET state = 'held', holder_id = %(labeler)s, claimed_at = statement_timestamp(),
         lease_until = statement_timestamp() + %(lease)s
   WHERE state = 'open' AND id = (
     SELECT f.id FROM (SELECT s.id FROM ({{slots}}) s WHERE {{untouched}} LIMIT 64) c
      CROSS JOIN LATERAL (
        SELECT l.id FROM labeling_slot l WHERE l.id = c.id AND l.state = 'open' FOR UPDATE SKIP LOCKED) f
      LIMIT 1)
  RETURNING *)
SELECT {columns(Slot, "c")}, {columns(Task, "t")}, {columns(Prompt, "p")}
  FROM claimed c JOIN labeling_task t ON t.id = c.task_id LEFT JOIN labeling_prompt p ON p.id = t.prompt_id
"""  # noqa: S608  # names of ours
# A task with several open slots is counted at the first of them.
COUNT: Final = """
SELECT count(*) FROM (
   SELECT 1 FROM ({slots}) s
    WHERE {untouched} AND NOT EXISTS (
      SELECT 1 FROM labeling_slot l
       WHERE l.task_id = s.task_id AND l.number < s.number AND l.state = 'open' OFFSET 0)
    LIMIT %(limit)s) t
"""
# Whoever may have them: to know that there are plenty, no slot need be looked at closely. The order is the index's:
# without one the planner hoped to meet a few in the table itself, and read millions of other projects' rows.
PLENTY: Final = """
SELECT count(*) FROM (SELECT 1 FROM labeling_slot WHERE project_id = %(project)s AND kind = %(kind)s AND state = 'open'
                       ORDER BY priority DESC, task_id, number LIMIT %(limit)s) t
"""
HELD: Final = """
SELECT count(DISTINCT s.task_id), min(s.lease_until) FROM labeling_slot s
 WHERE s.project_id = %(project)s AND s.kind = %(kind)s AND s.state = 'held' AND {untouched}
"""

_SLOTS: Final = """
  (SELECT id, task_id, number FROM labeling_slot
    WHERE project_id = %(project)s AND kind = %(kind)s AND state = 'open' AND {part}
    ORDER BY priority DESC, task_id, number)
"""
ALL_TASKS: Final = (
    "priority > %(priority)s",
    "priority = %(priority)s AND task_id > %(after)s",
    "priority < %(priority)s",
    "priority = %(priority)s AND task_id <= %(after)s",
)
THIS_TASK: Final = ("task_id = %(task)s",)
# OFFSET 0 keeps each test an index probe per slot looked at. As joins they once became a scan of all that the labeler
# had done, for each slot, when the statistics were a minute old: seconds at 5,000 tasks done, not under a millisecond.
_NOT_TAKEN_NOR_SKIPPED: Final = """
   NOT EXISTS (SELECT 1 FROM labeling_slot o
                WHERE o.task_id = s.task_id AND o.holder_id = %(labeler)s AND o.state IN ('held', 'done') OFFSET 0)
   AND NOT EXISTS (SELECT 1 FROM labeling_skip k
                    WHERE k.task_id = s.task_id AND k.labeler_id = %(labeler)s OFFSET 0)
"""
_NOT_JUDGED: Final = """
   AND NOT EXISTS (SELECT 1 FROM labeling_{judgement} j
                    WHERE j.task_id = s.task_id AND j.labeler_id = %(labeler)s OFFSET 0)
"""
_FOREIGN: Final = "(%(languages)s <> '{}' AND x.language <> '' AND x.language <> ALL (%(languages)s))"
_PROMPT_SUITS: Final = """
   AND NOT EXISTS (SELECT 1 FROM labeling_task t JOIN labeling_prompt x ON x.id = t.prompt_id
                    WHERE t.id = s.task_id AND (x.author_id = %(labeler)s OR {foreign}) OFFSET 0)
""".replace("{foreign}", _FOREIGN)
_BRIEF_SUITS: Final = """
   AND NOT EXISTS (SELECT 1 FROM labeling_task t JOIN labeling_promptbrief x ON x.id = t.brief_id
                    WHERE t.id = s.task_id AND {foreign} OFFSET 0)
""".replace("{foreign}", _FOREIGN)
_NOT_WRITTEN: Final = """
   AND NOT EXISTS (SELECT 1 FROM labeling_task t JOIN labeling_demonstration d ON d.prompt_id = t.prompt_id
                    WHERE t.id = s.task_id AND d.labeler_id = %(labeler)s OFFSET 0)
"""
# By kind, because planning a claim takes longer than running it: a ranking is not asked about briefs.
_UNTOUCHED: Final[dict[str, str]] = {
    Task.Kind.RANK: _PROMPT_SUITS + _NOT_JUDGED.replace("{judgement}", "ranking"),
    Task.Kind.COMPARE: _PROMPT_SUITS + _NOT_JUDGED.replace("{judgement}", "ranking"),
    Task.Kind.DEMONSTRATE: _PROMPT_SUITS + _NOT_WRITTEN,
    Task.Kind.WRITE_PROMPT: _BRIEF_SUITS + _NOT_JUDGED.replace("{judgement}", "writtenprompt"),
    Task.Kind.ANNOTATE: _PROMPT_SUITS + _NOT_JUDGED.replace("{judgement}", "promptannotation"),
}


def claim(*, project: Project, labeler: User, kind: str) -> Slot | None:
    """Hold the first open slot that this labeler may have. It comes with its task, and that with its prompt."""
    row = statement("claim", kind).first(**_whose(project, labeler, kind), **_from(project, labeler, kind))
    if row is None:
        return None
    slot = with_task(row, project)
    _places.set(_place_key(project, labeler, kind), (slot.priority, slot.task_id), PLACE_SECONDS)
    return slot


def claim_task(*, task: Task, labeler: User) -> Slot | None:
    """Hold an open slot of this very task."""
    row = statement("claim_task", task.kind).first(**_whose(task.project, labeler, task.kind), task=task.pk)
    return with_task(row, task.project) if row else None


def with_task(row: Sequence[Any], project: Project) -> Slot:
    """The slot of a row that goes on with its task's columns and the prompt's."""
    slot = made(Slot, row)
    slot.task = made(Task, row, at=width(Slot))
    slot.project = slot.task.project = project
    if slot.task.prompt_id:
        slot.task.prompt = made(Prompt, row, at=width(Slot) + width(Task))
    return slot


def count_open(*, project: Project, labeler: User, kind: str, limit: int = COUNT_TO) -> int:
    """Tasks that this labeler could get now, counted up to the limit (so that the cost has an end)."""
    values = _whose(project, labeler, kind) | _from(project, labeler, kind)
    ((num,),) = statement("count_open", kind).rows(**values, limit=limit)
    return int(num)


def count_slots(*, project: Project, kind: str, limit: int) -> int:
    """Open slots of a kind, counted up to the limit, whoever may have them."""
    ((num,),) = statement("plenty", kind).rows(project=project.pk, kind=str(kind), limit=limit)
    return int(num)


def count_held(*, project: Project, labeler: User, kind: str) -> tuple[int, datetime | None]:
    """Tasks that this labeler could do but others hold, and when the first of them comes back."""
    ((num, back_at),) = statement("count_held", kind).rows(**_whose(project, labeler, kind))
    return int(num), back_at


TYPES: Final = {
    "project": "bigint",
    "labeler": "bigint",
    "kind": "text",
    "lease": "interval",
    "languages": "text[]",
    "priority": "integer",
    "after": "bigint",
    "task": "bigint",
    "limit": "integer",
}
OUTLINES: Final = {
    "claim": (CLAIM, ALL_TASKS),
    "claim_task": (CLAIM, THIS_TASK),
    "count_open": (COUNT, ALL_TASKS),
    "count_held": (HELD, ()),
    "plenty": (PLENTY, ()),
}


@functools.cache
def statement(name: str, kind: str) -> Statement:
    """One per kind of task: what a ranking need not be asked about is not in its plan."""
    outline, parts = OUTLINES[name]
    slots = " UNION ALL ".join(_SLOTS.replace("{part}", part) for part in parts)
    text = outline.replace("{slots}", slots).replace("{untouched}", _NOT_TAKEN_NOR_SKIPPED + _UNTOUCHED[kind])
    return Statement(f"{name}_{kind}", text, **{each: TYPES[each] for each in PARAMETER.findall(text)})


def _whose(project: Project, labeler: User, kind: str) -> dict[str, Any]:
    return {
        "project": project.pk,
        "labeler": labeler.pk,
        "kind": str(kind),
        "lease": timedelta(minutes=project.lease_minutes),
        "languages": [str(language) for language in labeler.languages],
    }


def _from(project: Project, labeler: User, kind: str) -> dict[str, int]:
    priority, after = _places.get(_place_key(project, labeler, kind), START)
    return {"priority": priority, "after": after}


def _place_key(project: Project, labeler: User, kind: str) -> str:
    """Where a labeler last was in the queue, as this process knows it. Not to know it costs time once, nothing else."""
    return f"place:{project.pk}:{labeler.pk}:{kind}"
