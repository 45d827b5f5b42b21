"""A stage that talks without a model: it answers with what it was asked, a word at a time, as `fake.json` says.

`die_at`: it kills itself once, when it has said so many words; `hold`: it says one word and waits to be stopped.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from training.contract.rundir import RunDir, Status
from training.contract.talk import Ask, Desk, End, Reply, Stop


def answer_all(run_dir: RunDir, plan: dict[str, Any], is_cancelled: Callable[[], bool]) -> int:
    if plan.get("fail"):
        status(run_dir, "failed", {"type": "ModelError", "message": str(plan["fail"])})
        return 1
    status(run_dir, "running")
    desk, held, asked_at = Desk(run_dir), set(), time.monotonic()
    while not is_cancelled():
        for request in desk.new_requests():
            asked_at = time.monotonic()
            if isinstance(request, End):
                return end(run_dir, request.reason)
            if isinstance(request, Stop):
                desk.put(request.id, Reply(state="stopped", text="one", num_tokens=1))
                held.discard(request.id)
            elif plan.get("hold"):
                desk.put(request.id, Reply(state="answering", text="one", num_tokens=1))
                held.add(request.id)
            else:
                answer(run_dir, desk, request, plan)
        if not held and time.monotonic() - asked_at > plan.get("idle_s", 1.0):
            return end(run_dir, "idle")
        time.sleep(0.02)
    status(run_dir, "cancelled")
    return 3


def answer(run_dir: RunDir, desk: Desk, ask: Ask, plan: dict[str, Any]) -> None:
    """Who answers, which sample it is, and the whole thread that was asked."""
    said = ", ".join(f"{message.role} {message.content}" for message in ask.messages)
    words = f"{'AB'[ask.model]}{ask.sample_index} heard {said}".split(" ")
    for num in range(1, len(words) + 1):
        once = run_dir.path / "died"
        if plan.get("die_at") == num and not once.exists():
            time.sleep(0.5)  # long enough for the worker to have shown what there is
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        desk.put(ask.id, Reply(state="answering", text=" ".join(words[:num]), num_tokens=num, seconds=0.1 * num))
        time.sleep(plan.get("word_s", 0.0))
    reward = None if plan.get("no_reward") else float(ask.model)
    num_tokens, seconds = len(words), 0.1 * len(words)
    done = Reply(
        state="done", text=" ".join(words), num_tokens=num_tokens, seconds=seconds, finish_reason="stop", reward=reward
    )
    desk.put(ask.id, done)


def end(run_dir: RunDir, reason: str) -> int:
    status(run_dir, "succeeded")
    run_dir.write_manifest(stage="talk", summary={"ended": reason}, inputs={})
    return 0


def status(run_dir: RunDir, state: str, error: dict[str, str] | None = None) -> None:
    run_dir.write_status(
        Status(state=state, phase="talk", step=0, num_steps=0, started_at=1.0, updated_at=time.time(), error=error)
    )
