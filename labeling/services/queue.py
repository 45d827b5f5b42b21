"""The queue of open slots in SQL: the claim is one indexed statement whose cost is that of the slots it looks at."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.core.cache import cache
from django.db import connection

from labeling.models import Project, Task, User

COUNT_TO: Final = 100  # "100 or more" is enough to know
PLACE_SECONDS: Final = 7 * 24 * 3600
START: Final = (32_767, 0)  # above every priority: the whole queue lies ahead

# It goes through the open slots in their order, most urgent first, but begins where this labeler last was (`priority`,
# `after`): what lies before is mostly done by them, and stepping over it would cost more with each task they do. What
# comes back there is found in the last part, or by others. A slot that another claim has locked is passed over, never
# waited for.
CLAIM = """
UPDATE labeling_slot SET state = 'held', holder_id = %(labeler)s, claimed_at = statement_timestamp(),
       lease_until = statement_timestamp() + %(lease)s
 WHERE state = 'open' AND id = (
   SELECT id FROM ({more_urgent} {first}) a
   UNION ALL SELECT id FROM ({ahead} {first}) b
   UNION ALL SELECT id FROM ({less_urgent} {first}) c
   UNION ALL SELECT id FROM ({behind} {first}) d
   LIMIT 1)
RETURNING id, task_id, priority
"""
CLAIM_TASK = """
UPDATE labeling_slot SET state = 'held', holder_id = %(labeler)s, claimed_at = statement_timestamp(),
       lease_until = statement_timestamp() + %(lease)s
 WHERE state = 'open' AND id = ({this_task} {first})
RETURNING id, task_id, priority
"""
# A task with several open slots is counted at the first of them.
COUNT = """
SELECT count(*) FROM (
   SELECT id FROM ({more_urgent} {one_per_task}) a
   UNION ALL SELECT id FROM ({ahead} {one_per_task}) b
   UNION ALL SELECT id FROM ({less_urgent} {one_per_task}) c
   UNION ALL SELECT id FROM ({behind} {one_per_task}) d
   LIMIT %(limit)s) t
"""
HELD = """
SELECT count(DISTINCT s.task_id), min(s.lease_until) FROM labeling_slot s
 WHERE s.project_id = %(project)s AND s.kind = %(kind)s AND s.state = 'held' AND {untouched}
"""

_OPEN = """
   SELECT s.id FROM labeling_slot s
    WHERE s.project_id = %(project)s AND s.kind = %(kind)s AND s.state = 'open' AND {part} AND {untouched}
"""
_ENDS = {
    "first": "ORDER BY s.priority DESC, s.task_id, s.number LIMIT 1 FOR UPDATE OF s SKIP LOCKED",
    "one_per_task": """AND NOT EXISTS (
      SELECT 1 FROM labeling_slot l
       WHERE l.task_id = s.task_id AND l.number < s.number AND l.state = 'open' OFFSET 0) LIMIT %(limit)s""",
}
_PARTS = {
    "more_urgent": "s.priority > %(priority)s",
    "ahead": "s.priority = %(priority)s AND s.task_id > %(after)s",
    "less_urgent": "s.priority < %(priority)s",
    "behind": "s.priority = %(priority)s AND s.task_id <= %(after)s",
    "this_task": "s.task_id = %(task)s",
}
# OFFSET 0 keeps each test an index probe per slot looked at. As joins they once became a scan of all that the labeler
# had done, for each slot, when the statistics were a minute old: seconds at 5,000 tasks done, not under a millisecond.
_UNTOUCHED = """
   NOT EXISTS (SELECT 1 FROM labeling_slot o
                WHERE o.task_id = s.task_id AND o.holder_id = %(labeler)s AND o.state IN ('held', 'done') OFFSET 0)
   AND NOT EXISTS (SELECT 1 FROM labeling_skip k
                    WHERE k.task_id = s.task_id AND k.labeler_id = %(labeler)s OFFSET 0)
   AND NOT EXISTS (SELECT 1 FROM labeling_ranking r
                    WHERE r.task_id = s.task_id AND r.labeler_id = %(labeler)s OFFSET 0)
   AND NOT EXISTS (
     SELECT 1 FROM labeling_task t LEFT JOIN labeling_prompt p ON p.id = t.prompt_id
                                   LEFT JOIN labeling_promptbrief b ON b.id = t.brief_id
      WHERE t.id = s.task_id AND (
            p.author_id = %(labeler)s
         OR (%(languages)s <> '{}' AND p.language <> '' AND p.language <> ALL (%(languages)s::text[]))
         OR (%(languages)s <> '{}' AND b.language <> '' AND b.language <> ALL (%(languages)s::text[]))
         OR (s.kind = 'write_prompt' AND EXISTS (
               SELECT 1 FROM labeling_writtenprompt w WHERE w.task_id = t.id AND w.labeler_id = %(labeler)s))
         OR (s.kind = 'annotate' AND EXISTS (
               SELECT 1 FROM labeling_promptannotation a WHERE a.task_id = t.id AND a.labeler_id = %(labeler)s))
         OR (s.kind = 'demonstrate' AND EXISTS (
               SELECT 1 FROM labeling_demonstration d WHERE d.prompt_id = p.id AND d.labeler_id = %(labeler)s)))
      OFFSET 0)
"""


def claim(*, project: Project, labeler: User, kind: str) -> int | None:
    """Hold the first open slot that this labeler may have; its id, or None."""
    row = _run(CLAIM, project, labeler, kind)
    if not row:
        return None
    slot_id, task_id, priority = row
    cache.set(_place_key(project, labeler, kind), (priority, task_id), PLACE_SECONDS)
    return int(slot_id)


def claim_task(*, task: Task, labeler: User) -> int | None:
    """Hold an open slot of this very task; its id, or None."""
    row = _run(CLAIM_TASK, task.project, labeler, task.kind, task=task.pk)
    return int(row[0]) if row else None


def count_open(*, project: Project, labeler: User, kind: str, limit: int = COUNT_TO) -> int:
    """Tasks that this labeler could get now, counted up to the limit (so that the cost has an end)."""
    return int(_run(COUNT, project, labeler, kind, limit=limit)[0])


def count_held(*, project: Project, labeler: User, kind: str) -> tuple[int, datetime | None]:
    """Tasks that this labeler could do but others hold, and when the first of them comes back."""
    num, back_at = _run(HELD, project, labeler, kind)
    return int(num), back_at


def statement(outline: str) -> str:
    for name, part in _PARTS.items():
        outline = outline.replace("{" + name + "}", _OPEN.replace("{part}", part))
    for name, end in _ENDS.items():
        outline = outline.replace("{" + name + "}", end)
    return outline.replace("{untouched}", _UNTOUCHED)


def parameters(project: Project, labeler: User, kind: str, **more: Any) -> dict[str, Any]:
    priority, after = cache.get(_place_key(project, labeler, kind), START)
    return {
        "project": project.pk,
        "labeler": labeler.pk,
        "kind": str(kind),
        "lease": timedelta(minutes=project.lease_minutes),
        "languages": [str(language) for language in labeler.languages],
        "priority": priority,
        "after": after,
        **more,
    }


def _run(outline: str, project: Project, labeler: User, kind: str, **more: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement(outline), parameters(project, labeler, kind, **more))
        return cursor.fetchone()


def _place_key(project: Project, labeler: User, kind: str) -> str:
    """Where a labeler last was in the queue. Forgetting it costs time once and nothing else."""
    return f"place:{project.pk}:{labeler.pk}:{kind}"
