"""Talk: one model or two that answer people in the playground, a token at a time, until nobody asks any more.

    python -m training.talk --config talk.json --run-dir runs/talk-1

Requests come in, and answers go out, through files in the run directory (`training.contract.talk`). What an answer says
depends on the seed, its prompt and its number alone: it is the one that `training.generate` gives for them by our own
loop. Open answers grow in turns. Ends by itself after `idle_seconds` without a question, or when it is asked to and no
answer is open. It makes no model and logs no metrics.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch

from training.cli import Result, run_stage
from training.contract.configs import TalkConfig
from training.contract.records import Message
from training.contract.rundir import RunDir
from training.contract.talk import OPEN, Ask, Desk, End, Reply, Request, Stop
from training.engine import device, models, processes
from training.engine.rollout import RolloutError, SamplingRule, row_uniforms, stream
from training.engine.runlog import Cancelled, RunLog
from training.engine.scoring import end_rewards, episodes
from training.engine.text import Text, TextError, load_text

LOOK_S: Final = 0.05
"""How long it waits for a request while no answer is open."""
WRITE_S: Final = 0.15
"""How often a growing answer is written: the page asks about twice a second."""


def main(config: TalkConfig, run_dir: RunDir, log: RunLog) -> Result:
    """The whole stage, top to bottom."""
    processes.refuse_several("talk")
    # 1. Load everybody once.
    compute = device.choose(config)
    device.seed_everything(config.seed)
    speakers = [load_speaker(path, compute) for path in (config.first_model, config.second_model) if path]
    judge = load_judge(config.reward_model, compute) if config.reward_model else None
    log.say(f"{len(speakers)} to talk to, {'a reward model' if judge else 'no reward model'}, on {compute.device}")

    # 2. Answer until nobody asks, or until asked to end.
    log.phase("talk")
    table = Table(Desk(run_dir), speakers, judge)
    ended = _talk(table, config, log)

    log.say(f"{table.num_answers} answers, {table.num_tokens} tokens; it ends: {ended}")
    return Result(summary={"ended": ended, "num_answers": table.num_answers, "num_tokens": table.num_tokens})


def _talk(table: "Table", config: TalkConfig, log: RunLog) -> str:
    """Gives why it ended."""
    active_at = time.monotonic()
    while True:
        if log.cancel_asked:
            raise Cancelled
        if table.take_requests() or table.is_busy:
            active_at = time.monotonic()
        if table.is_busy:
            table.advance()
        elif table.end:
            return table.end.reason
        elif time.monotonic() - active_at > config.idle_seconds:
            return "idle"
        else:
            time.sleep(LOOK_S)


@dataclass(frozen=True)
class Speaker:
    """A policy that answers."""

    text: Text
    model: Any

    def begin(self, ask: Ask) -> Iterator[int]:
        """The tokens of its answer. Raises RolloutError or TextError for what it cannot read, before any token."""
        prompt = self.text.prompt_ids(ask.messages)
        self._check_length(len(prompt), ask.max_new_tokens)
        rule = SamplingRule(
            end_token_id=self.text.end_id,
            pad_token_id=self.text.pad_id,
            max_new_tokens=ask.max_new_tokens,
            temperature=ask.temperature,
            top_p=ask.top_p,
        )
        name = f"{ask.prompt_id}/{ask.sample_index}"
        uniforms_BR = row_uniforms([name], seed=ask.seed, num_draws=ask.max_new_tokens)
        return stream(self.model, prompt, uniforms_BR[0], rule=rule)

    def _check_length(self, num_prompt: int, num_new: int) -> None:
        limit = models.max_positions(self.model)
        if limit is None or num_prompt + num_new <= limit:
            return
        reads = f"The conversation has {num_prompt:,} tokens, and the model reads {limit:,} with its answer"
        left = limit - num_prompt
        raise RolloutError(
            f"{reads}: allow answers of at most {left:,} tokens, or start a new conversation."
            if left > 0
            else f"{reads}: start a new conversation."
        )


@dataclass(frozen=True)
class Judge:
    """The reward model, which reads an answer as it reads one of a ranking: by its own tokenizer and chat template."""

    text: Text
    model: Any
    compute: device.Compute

    def score(self, messages: tuple[Message, ...], answer: str) -> tuple[float | None, str]:
        """The reward; or None, and why it cannot be given."""
        try:
            prompt, response = self.text.prompt_ids(messages), self.text.response_ids(answer)
        except TextError as error:
            return None, f"No reward: {error}"
        limit, needed = models.max_positions(self.model), len(prompt) + len(response)
        if limit is not None and needed > limit:
            return None, f"No reward: {needed:,} tokens, and the reward model reads {limit:,}."
        batch = episodes([prompt], [response], pad_token_id=self.text.pad_id, device=self.compute.device)
        with self.compute.autocast():
            return float(end_rewards(self.model, batch)[0]), ""


def load_speaker(path: str, compute: device.Compute) -> Speaker:
    """A policy in the precision of its forward pass: nothing here trains, and half the bytes are read in half the
    time."""
    text = load_text(path)
    return Speaker(text, models.load_policy(path, text).to(compute.device, compute.forward_dtype))


def load_judge(path: str, compute: device.Compute) -> Judge:
    """A reward model in fp32, as it was trained."""
    text = load_text(path)
    return Judge(text, models.load_reward(path, text).to(compute.device), compute)


@dataclass
class Answer:
    """One answer in the making."""

    ask: Ask
    text: Text
    tokens: Iterator[int]
    ids: list[int] = field(default_factory=list)
    started_at: float = field(default_factory=time.monotonic)
    written_at: float = 0.0
    is_complete: bool = False

    def advance(self) -> None:
        """One token more, or the end."""
        token = next(self.tokens, None)
        self.is_complete = token is None
        if token is not None:
            self.ids.append(token)

    def reply(self, state: str = OPEN, **more: Any) -> Reply:
        """As far as it is. The first bytes of a character that is not whole are left out."""
        text = self.text.decode(self.ids)
        seconds = time.monotonic() - self.started_at
        shown = text.rstrip("\ufffd") if state == OPEN else text
        return Reply(state=state, text=shown, num_tokens=len(self.ids), seconds=seconds, **more)

    @property
    def finish_reason(self) -> str:
        return "stop" if self.ids and self.ids[-1] == self.text.end_id else "length"


@dataclass
class Table:
    """Who sits at it, and which answers are open."""

    desk: Desk
    speakers: list[Speaker]
    judge: Judge | None
    end: End | None = None
    num_answers: int = 0
    num_tokens: int = 0
    _open: dict[str, Answer] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Is any answer open?"""
        return bool(self._open)

    def take_requests(self) -> int:
        """Take what has been asked meanwhile; gives how many requests that were."""
        num = 0
        for num, request in enumerate(self.desk.new_requests(), start=1):  # noqa: B007 - counted
            self._take(request)
        return num

    def advance(self) -> None:
        """Each open answer by one token."""
        for id, answer in list(self._open.items()):
            if self._tried(id, answer.advance):
                self._write(id, answer)

    def _take(self, request: Request) -> None:
        if isinstance(request, End):
            self.end = request
        elif isinstance(request, Stop):
            if answer := self._open.pop(request.id, None):
                self.desk.put(request.id, answer.reply("stopped"))
        else:
            self.end = None  # whoever asks wants an answer
            self._tried(request.id, lambda: self._begin(request))

    def _begin(self, ask: Ask) -> None:
        speaker = self.speakers[ask.model]
        self._open[ask.id] = Answer(ask, speaker.text, speaker.begin(ask))

    def _tried(self, id: str, act: Callable[[], None]) -> bool:
        """What a conversation is too long for fails alone; any other error ends the stage."""
        try:
            act()
        except (RolloutError, TextError) as error:
            self._fail(id, str(error))
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            self._fail(id, "The GPU's memory is full: allow shorter answers, or start a new conversation.")
        else:
            return True
        return False

    def _fail(self, id: str, error: str) -> None:
        self._open.pop(id, None)
        self.desk.put(id, Reply(state="failed", error=error))

    def _write(self, id: str, answer: Answer) -> None:
        if answer.is_complete:
            self._tried(id, lambda: self._finish(id, answer))
        elif time.monotonic() - answer.written_at > WRITE_S:
            answer.written_at = time.monotonic()
            self.desk.put(id, answer.reply())

    def _finish(self, id: str, answer: Answer) -> None:
        reply = answer.reply("done", finish_reason=answer.finish_reason)
        if self.judge:
            reward, note = self.judge.score(answer.ask.messages, reply.text)
            reply = replace(reply, reward=reward, note=note)
        del self._open[id]
        self.num_answers, self.num_tokens = self.num_answers + 1, self.num_tokens + reply.num_tokens
        self.desk.put(id, reply)


if __name__ == "__main__":
    raise SystemExit(run_stage("talk", main))
