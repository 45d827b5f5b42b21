"""Runs: Postgres is the truth, Celery is the doorbell (docs/runs.md).

states        which state may follow which, and the one way to change it
creation      what people do: create, cancel, resume
claims        ring, claim, keep, take back
workdir       the run directory, ready for a stage
takeover      and as the last claim left it, when that was on another machine
room          what this machine need not keep any more
supervision   the job: start the stage, watch over it, conclude
mirror        metrics, log and progress from files to rows
saving        checkpoints from files to storage, where that is no folder
talking       what is asked and answered in the playground, between rows and files
publishing    the result, registered once
"""

from labeling.services.runs.claims import Claim, claim, keep, sweep
from labeling.services.runs.creation import (
    HUB_NAME,
    Folder,
    Input,
    RunError,
    Upload,
    annotate,
    cancel,
    changes_from_preset,
    check,
    create,
    resume,
    unused_name,
)
from labeling.services.runs.states import NEXT, IllegalTransition, Superseded, transition
from labeling.services.runs.supervision import ask_worker_to_go, work

__all__ = [
    "HUB_NAME",
    "NEXT",
    "Claim",
    "Folder",
    "IllegalTransition",
    "Input",
    "RunError",
    "Superseded",
    "Upload",
    "annotate",
    "ask_worker_to_go",
    "cancel",
    "changes_from_preset",
    "check",
    "claim",
    "create",
    "keep",
    "resume",
    "sweep",
    "transition",
    "unused_name",
    "work",
]
