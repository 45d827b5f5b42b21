"""Rows, in flow order."""

from labeling.models.people import Invitation, Role, User
from labeling.models.projects import DEFAULT_FLAGS, Guideline, Membership, Project
from labeling.models.prompts import ImportBatch, ImportRefusal, Prompt, PromptSource, Split, UseCase
from labeling.models.rankings import Demonstration, Ranking, RankingVoid
from labeling.models.registry import Model
from labeling.models.responses import Response
from labeling.models.rounds import Round
from labeling.models.runs import Run, RunEvent, RunInput, RunLog, RunMetric, Stage
from labeling.models.snapshots import Snapshot, SnapshotDemonstration, SnapshotRanking
from labeling.models.tasks import (
    MAX_RESPONSES,
    MAX_RESPONSES_FOR_PEOPLE,
    MIN_RESPONSES,
    Draft,
    Skip,
    Slot,
    Task,
    TaskResponse,
)

__all__ = [
    "DEFAULT_FLAGS",
    "MAX_RESPONSES",
    "MAX_RESPONSES_FOR_PEOPLE",
    "MIN_RESPONSES",
    "Demonstration",
    "Draft",
    "Guideline",
    "ImportBatch",
    "ImportRefusal",
    "Invitation",
    "Membership",
    "Model",
    "Project",
    "Prompt",
    "PromptSource",
    "Ranking",
    "RankingVoid",
    "Response",
    "Role",
    "Round",
    "Run",
    "RunEvent",
    "RunInput",
    "RunLog",
    "RunMetric",
    "Skip",
    "Slot",
    "Snapshot",
    "SnapshotDemonstration",
    "SnapshotRanking",
    "Split",
    "Stage",
    "Task",
    "TaskResponse",
    "UseCase",
    "User",
]
