"""Where a labeler stands in a project: what they must do before they get work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from labeling.models import Project, QualificationSet, Task, User
from labeling.models.statements import Statement

MUST_READ: Final = "guidelines"
NOT_QUALIFIED: Final = "qualification"
Why = Literal["", "guidelines", "qualification"]

SET_KIND_OF: Final[dict[str, str]] = {
    Task.Kind.RANK: QualificationSet.Kind.RANK,
    Task.Kind.COMPARE: QualificationSet.Kind.RANK,
    Task.Kind.DEMONSTRATE: QualificationSet.Kind.DEMONSTRATE,
}

# One statement for the lock and the facts, so that a claim in a project without any of this costs what it did before.
# Reviewers and managers made the known answers or grade by them: they need not qualify.
_FACTS: Final = """
SELECT {lock}
       %(must_read)s AND EXISTS (
         SELECT 1 FROM labeling_guideline g
          WHERE g.project_id = %(project)s
            AND g.version = (SELECT max(version) FROM labeling_guideline WHERE project_id = %(project)s)
            AND NOT EXISTS (SELECT 1 FROM labeling_guidelinereading r
                             WHERE r.guideline_id = g.id AND r.user_id = %(labeler)s)),
       {rank}, {demonstrate}
"""
_UNPASSED: Final = """
       (SELECT s.id FROM labeling_qualificationset s
         WHERE s.project_id = %(project)s AND s.kind = '{kind}' AND s.state = 'active'
           AND EXISTS (SELECT 1 FROM labeling_membership m
                        WHERE m.project_id = %(project)s AND m.user_id = %(labeler)s AND m.role = 'labeler')
           AND NOT EXISTS (SELECT 1 FROM labeling_qualification q
                            WHERE q.qualification_set_id = s.id AND q.labeler_id = %(labeler)s
                              AND q.state IN ('passed', 'waived')))
"""
# The disk is not waited for: a hold that a crash takes back is lost like one that ran out, and loses no answer.
_LOCK: Final = """
       pg_advisory_xact_lock(%(project_key)s, %(labeler_key)s), set_config('synchronous_commit', 'off', true),
"""
_SETS: Final = {kind: _UNPASSED.format(kind=kind) for kind in ("rank", "demonstrate")}
_TYPES: Final = {"project": "bigint", "labeler": "bigint", "must_read": "boolean"}
_WITH_LOCK: Final = Statement(
    "standing_with_lock",
    _FACTS.format(lock=_LOCK, **_SETS),
    **_TYPES,
    project_key="integer",
    labeler_key="integer",
)
_WITHOUT_LOCK: Final = Statement("standing", _FACTS.format(lock="", **_SETS), **_TYPES)


@dataclass(frozen=True)
class Standing:
    """`unpassed`: by kind of set, the active one that this labeler has still to pass."""

    must_read: bool
    unpassed: dict[str, int]

    def set_for(self, kind: str) -> int | None:
        return self.unpassed.get(SET_KIND_OF.get(kind, ""))

    def open_kinds(self, kinds: Sequence[str]) -> list[str]:
        """Those of the kinds in which this labeler may do ordinary work."""
        return [kind for kind in kinds if self.set_for(kind) is None]

    def sets_for(self, kinds: Sequence[str]) -> list[int]:
        return list(dict.fromkeys(pk for kind in kinds if (pk := self.set_for(kind)) is not None))


def lock(project: Project, labeler: User) -> Standing:
    """Where they stand, with all other claims of this person in this project kept waiting until the transaction ends.

    Fifty clicks at once must not hold fifty tasks.
    """
    keys = {"project_key": project.pk % 2**31, "labeler_key": labeler.pk % 2**31}
    return _ask(_WITH_LOCK, project, labeler, **keys)


def of(project: Project, labeler: User) -> Standing:
    return _ask(_WITHOUT_LOCK, project, labeler)


def _ask(statement: Statement, project: Project, labeler: User, **keys: int) -> Standing:
    row = statement.first(project=project.pk, labeler=labeler.pk, must_read=project.must_read_guidelines, **keys)
    assert row is not None  # noqa: S101  # facts have a row whatever they are
    must_read, rank, demonstrate = row[-3:]
    unpassed = {QualificationSet.Kind.RANK: rank, QualificationSet.Kind.DEMONSTRATE: demonstrate}
    return Standing(must_read=must_read, unpassed={str(kind): pk for kind, pk in unpassed.items() if pk is not None})
