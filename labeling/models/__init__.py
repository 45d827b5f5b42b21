"""Rows, in flow order."""

from labeling.models.evaluation_files import EvaluationFile, RunFile
from labeling.models.evaluations import (
    HELD_OUT,
    MAX_JUDGEMENTS,
    Evaluation,
    EvaluationItem,
    EvaluationModel,
    EvaluationPrompt,
    EvaluationRun,
)
from labeling.models.people import Invitation, Role, User
from labeling.models.playground import PlaygroundReply, PlaygroundSession, PlaygroundTurn
from labeling.models.projects import DEFAULT_FLAGS, DEFAULT_PROMPT_LABELS, Guideline, Membership, Project
from labeling.models.prompts import ImportBatch, ImportRefusal, Prompt, PromptLook, PromptSource, Split, UseCase
from labeling.models.quality import (
    DemonstrationGrade,
    GuidelineReading,
    Qualification,
    QualificationSet,
    Reference,
    Review,
)
from labeling.models.rankings import Demonstration, DemonstrationVoid, Ranking, RankingVoid
from labeling.models.registry import Model, ModelEvent
from labeling.models.responses import RenderedResponse, Response
from labeling.models.rounds import Round
from labeling.models.runs import Run, RunEvent, RunInput, RunLog, RunMetric, RunUsage, Stage
from labeling.models.scores import ResponseScore
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
from labeling.models.wellbeing import SurveyAnswer, SurveyRelease, Withdrawal
from labeling.models.workers import Worker
from labeling.models.writing import PromptAnnotation, PromptBrief, WrittenPrompt

__all__ = [
    "DEFAULT_FLAGS",
    "DEFAULT_PROMPT_LABELS",
    "HELD_OUT",
    "MAX_JUDGEMENTS",
    "MAX_RESPONSES",
    "MAX_RESPONSES_FOR_PEOPLE",
    "MIN_RESPONSES",
    "Demonstration",
    "DemonstrationGrade",
    "DemonstrationVoid",
    "Draft",
    "Evaluation",
    "EvaluationFile",
    "EvaluationItem",
    "EvaluationModel",
    "EvaluationPrompt",
    "EvaluationRun",
    "Guideline",
    "GuidelineReading",
    "ImportBatch",
    "ImportRefusal",
    "Invitation",
    "Membership",
    "Model",
    "ModelEvent",
    "PlaygroundReply",
    "PlaygroundSession",
    "PlaygroundTurn",
    "Project",
    "Prompt",
    "PromptAnnotation",
    "PromptBrief",
    "PromptLook",
    "PromptSource",
    "Qualification",
    "QualificationSet",
    "Ranking",
    "RankingVoid",
    "Reference",
    "RenderedResponse",
    "Response",
    "ResponseScore",
    "Review",
    "Role",
    "Round",
    "Run",
    "RunEvent",
    "RunFile",
    "RunInput",
    "RunLog",
    "RunMetric",
    "RunUsage",
    "Skip",
    "Slot",
    "Snapshot",
    "SnapshotDemonstration",
    "SnapshotRanking",
    "Split",
    "Stage",
    "SurveyAnswer",
    "SurveyRelease",
    "Task",
    "TaskResponse",
    "UseCase",
    "User",
    "Withdrawal",
    "Worker",
    "WrittenPrompt",
]
