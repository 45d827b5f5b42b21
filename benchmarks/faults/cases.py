"""The faults. Each case does its worst to runs that are under way, and says what became of each of them."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .floor import LEASE_SECONDS, Floor, wait_for
from .outcome import LONGEST, Outcome, Undisturbed, is_over, reached, until_it_ends

if TYPE_CHECKING:
    from labeling.models import Run

KILLS_A_RUN: Final = 2  # a run is given up after three attempts
FOLDER: Final = Path(__file__).resolve().parent


class NotHere(Exception):  # noqa: N818  # an outcome
    """This machine cannot do it; the text says why."""


@dataclass(frozen=True)
class Setting:
    """What a case gets. `num`: how many times, where a case is done at random moments."""

    floor: Floor
    base: Undisturbed
    rng: random.Random
    num: int
    broker_away_seconds: float

    def moment(self, run: "Run", *, after_fence: int) -> bool:
        """Wait until some moment of a claim later than `after_fence`; False when the run was over before."""
        wait_for(lambda: is_over(run) or run.fence > after_fence, seconds=LONGEST, what="a worker has the run")
        time.sleep(self.rng.uniform(0.0, 0.9 * self.base.seconds))
        return not is_over(run)

    def middle(self, run: "Run", step: int = 100) -> None:
        wait_for(lambda: reached(run, step), seconds=LONGEST, what=f"step {step} of {run.name}")


Case = Callable[[Setting], list[Outcome]]


def worker_killed(at: Setting) -> list[Outcome]:
    """SIGKILL, in turns to the worker's first process alone and to all it had started."""

    def kill(run: "Run", number: int) -> bool:
        _replace_worker(at, with_children=number % 2 == 1)
        return True

    return _at_random_moments(at, kill)


def stage_killed(at: Setting) -> list[Outcome]:
    """SIGKILL to the training process alone."""
    from labeling import launcher
    from labeling.services.runs.workdir import run_dir_of

    def kill(run: "Run", number: int) -> bool:
        wait_for(lambda: is_over(run) or launcher.find(run_dir_of(run)), seconds=LONGEST, what="the stage is there")
        if (pid := launcher.find(run_dir_of(run))) is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    return _at_random_moments(at, kill)


def broker_emptied_while_queued(at: Setting) -> list[Outcome]:
    at.floor.kill("gpu", with_children=True)
    runs = [at.floor.begin() for _ in range(2)]
    _flush()
    at.floor.start("gpu")
    return [until_it_ends(run, at.base) for run in runs]


def broker_emptied_while_running(at: Setting) -> list[Outcome]:
    run = at.floor.begin()
    at.middle(run)
    _flush()
    return [until_it_ends(run, at.base)]


def broker_away(at: Setting) -> list[Outcome]:
    """Stopped for a minute: one run is under way, another is asked for while nobody can be rung for."""
    first = at.floor.begin()
    at.middle(first)
    with _stopped(at.floor, "valkey", "valkey.pid", signal.SIGKILL):
        second = at.floor.begin()
        time.sleep(at.broker_away_seconds)
    return [until_it_ends(run, at.base) for run in (first, second)]


def database_restarted(at: Setting) -> list[Outcome]:
    """A fast shutdown and a start, twice; then killed, so that it has to recover."""
    run = at.floor.begin()
    for step, sig in ((60, signal.SIGINT), (160, signal.SIGINT), (260, signal.SIGQUIT)):
        at.middle(run, step)
        with _stopped(at.floor, "postgres", "data/postmaster.pid", sig):
            time.sleep(2)
    return [until_it_ends(run, at.base)]


def disk_full(at: Setting) -> list[Outcome]:
    """A worker whose disk for runs fills up. When it gives the run up, somebody makes room and presses Resume."""
    from labeling.services import runs

    with _small_disk(at.floor) as fill:
        run = at.floor.begin()
        at.middle(run)
        fill(True)
        wait_for(lambda: is_over(run) or run.attempt > 1, seconds=LONGEST, what="the full disk is noticed")
        fill(False)
        wait_for(lambda: is_over(run), seconds=LONGEST, what=f"{run.name} is over")
        if run.state == "failed":
            if "space" not in run.error.lower():
                return [Outcome(run.state, run.attempt, 0, (f"the error does not name the disk: {run.error[:120]}",))]
            runs.resume(run, user=None)
        return [until_it_ends(run, at.base)]


def clock_wrong(at: Setting) -> list[Outcome]:
    """A worker ten minutes ahead is killed, and one ten minutes behind goes on; then the other way round."""
    library = _clock_library(at.floor)
    outcomes = []
    for shifts in ((600, -600), (-600, 600)):
        at.floor.kill("gpu", with_children=True)
        at.floor.start("gpu", LD_PRELOAD=str(library), CLOCK_SHIFT=str(shifts[0]))
        run = at.floor.begin()
        at.middle(run)
        at.floor.kill("gpu", with_children=True)
        at.floor.start("gpu", LD_PRELOAD=str(library), CLOCK_SHIFT=str(shifts[1]))
        outcomes.append(until_it_ends(run, at.base))
    _replace_worker(at, with_children=True)
    return outcomes


def two_workers(at: Setting) -> list[Outcome]:
    """Both are rung for the same run again and again: one gets it."""
    from labeling.models import Run
    from labeling.services import bell

    at.floor.start("gpu-2", program="gpu")
    run = at.floor.begin()
    for _ in range(20):
        bell.ring("run_stage", run.pk)
    ended = until_it_ends(run, at.base)
    at.floor.kill("gpu-2", with_children=True)
    fence = Run.objects.values_list("fence", flat=True).get(pk=run.pk)
    return [ended if fence == 1 else Outcome(ended.state, ended.attempts, fence, ("both had it",))]


def worker_wakes_up_late(at: Setting) -> list[Outcome]:
    """Its processes stand still until another worker has the run; then they go on as if nothing had been."""
    run = at.floor.begin()
    at.middle(run)
    at.floor.signal_all("gpu", signal.SIGSTOP)
    at.floor.start("gpu-2", program="gpu")
    wait_for(lambda: reached(run, 0) and run.attempt == 2, seconds=10 * LEASE_SECONDS, what="another worker has it")
    at.floor.signal_all("gpu", signal.SIGCONT)
    ended = until_it_ends(run, at.base)
    at.floor.kill("gpu-2", with_children=True)
    return [ended]


def worker_asked_to_stop(at: Setting) -> list[Outcome]:
    """SIGTERM, as on every update: the run goes on elsewhere, and the attempt does not count."""
    run = at.floor.begin()
    for step in (60, 160, 260):
        at.middle(run, step)
        at.floor.ask_to_stop("gpu")
        at.floor.start("gpu")
    ended = until_it_ends(run, at.base)
    if ended.attempts != 1:
        return [Outcome(ended.state, ended.attempts, ended.claims, ("the attempts were counted", *ended.wrong))]
    return [ended]


CASES: Final[dict[str, Case]] = {
    "worker SIGKILL": worker_killed,
    "stage SIGKILL": stage_killed,
    "FLUSHALL while queued": broker_emptied_while_queued,
    "FLUSHALL under way": broker_emptied_while_running,
    "Redis stopped": broker_away,
    "Postgres restarted": database_restarted,
    "disk full": disk_full,
    "clock ± 10 minutes": clock_wrong,
    "two workers on one run": two_workers,
    "worker wakes up late": worker_wakes_up_late,
    "worker SIGTERM": worker_asked_to_stop,
}


def _at_random_moments(at: Setting, disturb: "Callable[[Run, int], bool]") -> list[Outcome]:
    """`num` times in all, twice a run, each time while a worker has it. `disturb` says whether it did."""
    outcomes, done = [], 0
    while done < at.num:
        run, last_fence = at.floor.begin(), 0
        for _ in range(min(KILLS_A_RUN, at.num - done)):
            if not at.moment(run, after_fence=last_fence):
                break
            last_fence = run.fence
            done += disturb(run, done)
        outcomes.append(until_it_ends(run, at.base))
    return outcomes


def _replace_worker(at: Setting, *, with_children: bool) -> None:
    """Killed, and started again a moment later, as its supervisor would."""
    at.floor.kill("gpu", with_children=with_children)
    time.sleep(1)
    at.floor.start("gpu")


def _flush() -> None:
    import redis
    from django.conf import settings

    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.flushall()


@contextmanager
def _stopped(floor: Floor, name: str, file: str, sig: signal.Signals) -> Iterator[None]:
    """An embedded server is down for as long as the block lasts. Its keeper sleeps, or would start it again at once."""
    import psutil
    from django.db import connection

    connection.close()
    server = psutil.Process(floor.server(name, file))
    keeper = server.parent()
    if keeper is None:
        raise NotHere(f"{name} has no keeper")
    keeper.suspend()
    try:
        server.send_signal(sig)
        wait_for(lambda: server.status() == psutil.STATUS_ZOMBIE, seconds=30, what=f"{name} is down")
        yield
    finally:
        keeper.resume()


@contextmanager
def _small_disk(floor: Floor) -> Iterator[Callable[[bool], None]]:
    """The GPU worker gets a disk of its own for its runs; what it yields fills that up, or makes room again."""
    if not shutil.which("unshare") or subprocess.run([*_ALONE, "true"], check=False, capture_output=True).returncode:
        raise NotHere("no mount of one's own (unshare -m)")
    runs, signs = floor.home / "runs", floor.home / "disk"
    runs.mkdir(exist_ok=True)
    signs.mkdir(exist_ok=True)
    full, is_full = signs / "full", signs / "is-full"

    def fill(wanted: bool) -> None:
        full.touch() if wanted else full.unlink()
        wait_for(lambda: is_full.exists() == wanted, seconds=30, what="the disk's filler follows")

    floor.kill("gpu", with_children=True)
    script = ["sh", str(FOLDER / "small_disk.sh"), str(runs), str(signs)]
    floor.start("gpu", wrap=[*_ALONE, *script])
    try:
        yield fill
    finally:
        full.unlink(missing_ok=True)
        floor.kill("gpu", with_children=True)
        floor.start("gpu")


_ALONE: Final = ("unshare", "--map-root-user", "--mount", "--")


def _clock_library(floor: Floor) -> Path:
    library = floor.home / "clock.so"
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotHere("no C compiler for the library that shifts a process's clock")
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(FOLDER / "clock.c"), "-ldl"],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotHere(f"the clock's library does not compile here: {done.stderr[-200:]}")
    return library
