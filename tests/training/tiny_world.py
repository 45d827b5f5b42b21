"""The smallest models and snapshots on which the stages really run, and how tests start a stage."""

import importlib
import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.training import warm
from training.cli import run_stage
from training.contract.records import Message, PromptRow, TextRow
from training.contract.rundir import RunDir
from training.engine import data, models
from training.engine.text import Text, byte_text

ROOT = Path(__file__).parents[2]
PROMPTS = ("Say something.", "Why?", "Name a colour", "Count to three please", "Hello", "Sing")


@dataclass(frozen=True)
class World:
    """Folders of a policy, a reward model and snapshots."""

    policy: Path
    reward: Path
    prompts: Path
    text: Path

    @property
    def ppo(self) -> dict[str, Any]:
        """A PPO config that runs in seconds."""
        return {
            "policy_model": str(self.policy),
            "reward_model": str(self.reward),
            "prompts": str(self.prompts),
            "num_episodes": 48,
            "batch_size": 8,
            "minibatch_size": 4,
            "micro_batch_size": 2,
            "max_prompt_tokens": 40,
            "max_new_tokens": 8,
            "checkpoint_every": 2,
            "ema_decay": 0.5,
            "learning_rate": 3e-4,
        }


def build(folder: Path) -> World:
    """Write everything a stage needs."""
    world = World(folder / "policy", folder / "reward", folder / "prompts", folder / "text")
    text = byte_text()
    policy = models.build_tiny(text, num_layers=1, width=16, num_heads=2, context=64, seed=1)
    _favour_ending(policy, text)
    models.save_model(policy, text, world.policy)
    models.save_model(models.reward_from_policy(str(world.policy), text, seed=2), text, world.reward)
    rows = [
        PromptRow(prompt_id=f"p{index}", prompt=[Message(role="user", content=words)], split=split)
        for index, words in enumerate(PROMPTS)
        for split in (["valid"] if index >= 4 else ["train"])
    ]
    data.write_snapshot(world.prompts, "prompts", rows)
    texts = [TextRow(text=f"Plain text number {n} goes on a little.", split=split) for n, split in enumerate(SPLITS)]
    data.write_snapshot(world.text, "text", texts)
    return world


def run(stage: str, config: dict[str, Any], folder: Path) -> int:
    """Run a stage to its end in this process, by its own command line. Gives its exit code."""
    module = importlib.import_module(f"training.{stage}")
    file = _write_config(config, folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in another order have other last digits
    try:
        return run_stage(stage, module.main, ["--config", file, "--run-dir", str(folder), "--outlive-parent"])
    finally:
        torch.set_num_threads(num_threads)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run_until(stage: str, config: dict[str, Any], folder: Path, *, step: int, kill: signal.Signals) -> int:
    """Run a stage as a process that signals itself when it has logged `step`. Gives its exit code."""
    code = _SIGNAL_ITSELF.format(stage=stage, step=step, number=int(kill))
    words = ["-c", code, "--config", _write_config(config, folder), "--run-dir", str(folder)]
    return warm.run(words, said=folder.with_name(folder.name + ".said")).returncode


def _write_config(config: dict[str, Any], folder: Path) -> str:
    file = folder.with_name(folder.name + ".json")
    file.write_text(json.dumps(config))
    return str(file)


def curve(folder: Path) -> list[tuple[int, dict[str, float | None]]]:
    """Every metric of every step, but for `perf/*`, which measures the machine."""
    rows, _ = RunDir(folder).read_metrics()
    return [(row.step, {k: v for k, v in row.values.items() if not k.startswith("perf/")}) for row in rows]


_SIGNAL_ITSELF = """
import os
from training import cli, {stage}
from training.engine.runlog import RunLog

log_metrics = RunLog.metrics

def metrics(self, step, values):
    log_metrics(self, step, values)
    if step == {step}:
        os.kill(os.getpid(), {number})

RunLog.metrics = metrics
raise SystemExit(cli.run_stage("{stage}", {stage}.main))
"""

SPLITS = ("train", "train", "train", "valid")


@torch.no_grad()
def _favour_ending(policy: Any, text: Text) -> None:
    """A fresh model ends one response in 262 tokens; tests want both responses that end and responses that are cut.

    The end token's embedding is turned towards what the last layer norm gives to every position, its bias.
    """
    policy.transformer.ln_f.bias.fill_(0.5)
    policy.transformer.wte.weight[text.end_id].fill_(0.45)
