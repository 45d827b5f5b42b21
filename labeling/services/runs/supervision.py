"""What the job of a run does: claim, prepare, start the stage, watch over it, and conclude."""

import logging
import mmap
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from labeling import launcher
from labeling.models import Run, Stage
from labeling.services import artifacts
from labeling.services.runs import claims, publishing, room, workdir
from labeling.services.runs.mirror import Mirror
from labeling.services.runs.saving import Saver
from labeling.services.runs.states import State, Superseded, transition
from labeling.services.runs.talking import CARRY_SECONDS, Talking
from training.contract.configs import ConfigError
from training.contract.rundir import EXIT_CANCELLED, EXIT_FAILED, EXIT_SUCCEEDED, RunDir, Status

logger = logging.getLogger(__name__)
TICK_SECONDS = 1.0

# One byte shared by a worker and the pool processes that it forks: the worker is asked to go. Safe in a signal handler.
_worker_goes = mmap.mmap(-1, 1)


Conclusion = Callable[[Run, claims.Claim], None]


@dataclass(frozen=True)
class Ending:
    """How a stage's process ended. `is_handed_back`: it was stopped because its worker goes.

    `not_saved`: why its last checkpoint is on this machine alone, where it should be in storage.
    """

    code: int
    is_handed_back: bool = False
    not_saved: str = ""


def work(run_id: int) -> None:
    """Run a stage to its end, unless somebody else has it. Whatever happens here, the row stays true."""
    claim = claims.claim(run_id)
    if claim is None:
        return
    try:
        _work(Run.objects.select_related("project").get(pk=run_id), claim)
    except Superseded as reason:
        logger.info("run %s: stopped working on it: %s", run_id, reason)


def ask_worker_to_go() -> None:
    """Called in a worker that is shutting down: stages are asked for a checkpoint, and their runs queued again."""
    _worker_goes[0] = 1


def _work(run: Run, claim: claims.Claim) -> None:
    how: Conclusion
    stopped = "it had not begun"
    try:
        with claims.kept_alive(claim):
            room.make()
            run_dir = workdir.prepare(run, claim)
        ending = _run_stage(run, claim, run_dir)
        how, stopped = partial(_by_ending, run_dir=run_dir, ending=ending), _how_it_stopped(ending)
    except ConfigError as error:
        how = partial(_fail, error=str(error))
    except (ValueError, OSError) as error:  # a file is not there, the disk is full, a hash is wrong
        how = partial(_crash, reason=f"{type(error).__name__}: {error}")
    try:
        _conclude(run, claim, how, stopped=stopped)
    except Superseded:  # cancelled in this very moment? Raises again when the run is somebody else's.
        _conclude(run, claim, how, stopped=stopped)


def _run_stage(run: Run, claim: claims.Claim, run_dir: RunDir) -> Ending:
    if run_dir.manifest_path.exists():  # its worker died while publishing
        Mirror(claim=claim, run_dir=run_dir).tick(is_last=True)
        return Ending(EXIT_SUCCEEDED)
    before = run_dir.read_status()
    talking = Talking(claim=claim, run_dir=run_dir) if run.stage == Stage.TALK else None
    if talking:
        talking.begin()
    process = launcher.start(stage=run.stage, run_dir=run_dir, config=run_dir.config_path)
    saver = None if artifacts.is_folder() else Saver(run=run, claim=claim, run_dir=run_dir)
    try:
        mirror = Mirror(claim=claim, run_dir=run_dir)
        ending = Watch(process=process, mirror=mirror, saver=saver, talking=talking).until_it_ends()
    finally:
        process.kill()
        if saver:
            saver.close()
    return _checked(ending, before=before, after=run_dir.read_status())


class Watch:
    """The loop over a living stage."""

    def __init__(
        self,
        *,
        process: launcher.StageProcess,
        mirror: Mirror,
        saver: Saver | None = None,
        talking: Talking | None = None,
    ) -> None:
        self.process, self.mirror, self.saver, self.talking = process, mirror, saver, talking
        self._parent = os.getppid()
        self._kept_at = time.monotonic()
        self._asked_at: float | None = None
        self._hands_back = False

    def until_it_ends(self) -> Ending:
        """Raises Superseded when the run was taken away, DatabaseError when the database is away for too long."""
        while (code := self.process.exit_code()) is None:
            self._look()
            self._wait()
        self._carry()
        not_saved = self._save_last() if self.saver and code != EXIT_SUCCEEDED else ""
        self.mirror.tick(is_last=True)
        if self.talking:
            self.talking.end()
        return Ending(code, is_handed_back=self._hands_back, not_saved=not_saved)

    def _look(self) -> None:
        state = self._tick()
        if self._asked_at is not None:
            if time.monotonic() - self._asked_at > settings.RUN_GRACE_SECONDS:
                self.process.kill()
        elif state == State.CANCELLING:
            self._ask_to_stop()
        elif _worker_goes[0] or os.getppid() != self._parent:  # the pool process of a killed worker is an orphan
            self._hands_back = True
            self._ask_to_stop()

    def _wait(self) -> None:
        """Until the next look. A conversation is carried back and forth meanwhile."""
        until = time.monotonic() + TICK_SECONDS
        while (left := until - time.monotonic()) > 0:
            self._carry()
            time.sleep(min(left, CARRY_SECONDS) if self.talking else left)

    def _carry(self) -> None:
        try:
            if self.talking:
                self.talking.tick()
        except (DatabaseError, InterfaceError) as error:  # the next look judges how long that may go on
            connection.close()
            logger.warning("run %s: the database is away (%s)", self.mirror.claim.run_id, error)

    def _tick(self) -> str:
        """Without a database the stage goes on, but not past the lease: from then on others may take the run."""
        try:
            state = self._copy()
            self._kept_at = time.monotonic()
            return state
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            if time.monotonic() - self._kept_at > settings.RUN_LEASE_SECONDS:
                raise
            logger.warning("run %s: the database is away (%s)", self.mirror.claim.run_id, error)
            return State.RUNNING

    def _copy(self) -> str:
        if self.saver is None:
            return self.mirror.tick()
        saved = self.saver.finished()
        state = self.mirror.tick(saved=saved)
        if saved is not None:
            self.saver.named(saved)
        self.saver.look()
        return state

    def _save_last(self) -> str:
        """The stage has ended, and will go on from here, perhaps elsewhere. Returns why that failed."""
        assert self.saver is not None  # noqa: S101 - asked before
        try:
            with claims.kept_alive(self.mirror.claim):
                saved = self.saver.last()
        except OSError as error:
            logger.warning("run %s: its last checkpoint stays on this machine (%s)", self.mirror.claim.run_id, error)
            return str(error)
        self.mirror.tick(saved=saved)
        self.saver.named(saved)
        return ""

    def _ask_to_stop(self) -> None:
        self._asked_at = time.monotonic()
        self.process.ask_to_stop()


def _checked(ending: Ending, *, before: Status | None, after: Status | None) -> Ending:
    """Exit code 1 without a new status that says why is what Python gives for a program that never started."""
    said_why = after is not None and after.state == "failed" and after != before
    return replace(ending, code=127) if ending.code == EXIT_FAILED and not said_why else ending


def _conclude(run: Run, claim: claims.Claim, how: Conclusion, *, stopped: str) -> None:
    """`stopped` is what a cancelled run's history says of its stage."""
    run.refresh_from_db()
    if run.fence != claim.fence or run.state not in (State.RUNNING, State.CANCELLING):
        raise Superseded(f"it is {run.state}, and belongs to {run.owner or 'nobody'}")
    if run.state == State.CANCELLING:
        transition(run, to=State.CANCELLED, actor=claim.owner, fence=claim.fence, message=stopped)
    else:
        how(run, claim)


def _by_ending(run: Run, claim: claims.Claim, *, run_dir: RunDir, ending: Ending) -> None:
    if ending.code == EXIT_SUCCEEDED:
        _publish(run, claim, run_dir)
    elif ending.code == EXIT_FAILED:
        _fail(run, claim, error=_said(run_dir))
    elif ending.is_handed_back:
        claims.hand_back(claim, reason="its worker was stopped; it goes on from its last checkpoint")
    else:
        _crash(run, claim, reason=_describe(ending))


def _publish(run: Run, claim: claims.Claim, run_dir: RunDir) -> None:
    try:
        publishing.publish(run=run, claim=claim, run_dir=run_dir)
    except (ValueError, OSError) as error:
        run.refresh_from_db()  # the transaction that ended it was rolled back, and what is in memory was not
        _crash(run, claim, reason=f"its result could not be stored: {error}")


def _fail(run: Run, claim: claims.Claim, *, error: str) -> None:
    kind = Run.FailureKind.FAILED
    transition(
        run, to=State.FAILED, actor=claim.owner, fence=claim.fence, message=error, error=error, failure_kind=kind
    )
    publishing.drop_uploads(run)


def _crash(run: Run, claim: claims.Claim, *, reason: str) -> None:
    claims.requeue_or_fail(run, actor=claim.owner, reason=reason, fence=claim.fence)


def _said(run_dir: RunDir) -> str:
    status = run_dir.read_status()
    error = (status.error if status else None) or {}
    return f"{error.get('type', 'Error')}: {error.get('message', 'no message')}".replace("\0", "\ufffd")


def _how_it_stopped(ending: Ending) -> str:
    if ending.not_saved:
        return f"its stage stopped; its last checkpoint did not reach the storage: {ending.not_saved}"
    if ending.code == EXIT_CANCELLED:
        return "its stage wrote a checkpoint and stopped"
    if ending.code == EXIT_SUCCEEDED:
        return "its stage had just come to its end; what it made was not taken in"
    return f"{_describe(ending)}; the checkpoint before that stays"


def _describe(ending: Ending) -> str:
    if ending.code == EXIT_CANCELLED:
        return "it stopped after a checkpoint"
    if ending.code < 0:
        return f"its process was killed by {signal.Signals(-ending.code).name}"
    return f"its process ended with exit code {ending.code}"
