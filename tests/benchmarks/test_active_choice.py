"""The simulation of choosing what to rank: what it buys, what it never sees, and that it runs from end to end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real_data import FOLDER, real
from training.engine.batches import Element, Ranking

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from active_choice import pool, simulate  # noqa: E402
from human_labels import rows  # noqa: E402


def element(number: int) -> Element:
    ranking = Ranking(positions=(0, 1), ranks=(1, 2), weight=1.0, labeler="a", held_out=False)
    name = f"p{number}"
    return Element(prompt_id=name, split="train", category="", prompt=[1], responses=([2], [3]), rankings=(ranking,))


class Setup:
    """A model without weights: the margin of a prompt is its number, and each member turns another third round."""

    def __init__(self, number: int, seen: list[int]) -> None:
        self.number, self.seen = number, seen

    def scores(self, elements: list[Element]) -> list[list[float]]:
        numbers = [int(item.prompt_id[1:]) for item in elements]
        return [[float(n) * (-1 if n % 3 == self.number and n > 10 else 1), 0.0] for n in numbers]


@pytest.fixture
def bought(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`bought("margin", seed=1)` → the prompts' numbers after each step."""
    trained: list[list[int]] = []

    def fit(config: Any, text: Any, elements: list[Element], *, compute: Any) -> Setup:
        trained.append([int(item.prompt_id[1:]) for item in elements])
        return Setup(config.seed % simulate.NUM_MEMBERS, trained[-1])

    monkeypatch.setattr(simulate, "fit", fit)
    everything: dict[str, Any] = {"text": None, "compute": None, "config": simulate.learning("m")}
    world = simulate.World(**everything, pool=[element(n) for n in range(40)], test=[element(99)], budgets=[5, 10, 20])

    def make(name: str, seed: int = 1) -> list[list[int]]:
        way = next(way for way in simulate.WAYS if way.name == name)
        return [[int(item.prompt_id[1:]) for item in step.bought] for step in simulate.run(world, way, seed=seed)]

    return make


@pytest.mark.parametrize("name", ["random", "margin", "ensemble"])
def test_each_step_keeps_what_was_bought_and_buys_to_the_next_number(bought: Any, name: str) -> None:
    first, second, third = bought(name)
    assert [len(set(step)) for step in (first, second, third)] == [5, 10, 20]
    assert second[:5] == first
    assert third[:10] == second


def test_all_ways_of_a_seed_begin_with_the_same_prompts_and_other_seeds_with_others(bought: Any) -> None:
    begun = {tuple(bought(name)[0]) for name in ("random", "margin", "ensemble")}
    assert len(begun) == 1
    assert tuple(bought("random", seed=2)[0]) not in begun


def test_margins_buy_the_smallest_and_the_ensemble_what_its_members_turn_round(bought: Any) -> None:
    first, second, third = bought("margin")
    left = [number for number in range(40) if number not in first]
    assert set(second) - set(first) == set(left[:5])
    left = [number for number in left if number not in second]
    assert set(third) - set(second) == set(left[:10])
    _, second, _ = bought("ensemble")
    assert min(second[5:]) > 10  # below, all members say the same


def test_pool_and_test_share_no_conversation_and_nothing_of_the_test_is_read_before() -> None:
    found = pool.read(real("rankings_real.jsonl.gz").parent)
    named = {
        split: {rows.conversation(row.prompt_id) for row in found.rankings if row.split == split} for split in SPLITS
    }
    assert min(map(len, named.values())) > 500
    assert not named["train"] & named["test"]
    tested = {text for row in found.rankings if row.split == "test" for text in row.responses if len(text) > 200}
    read = {row.response for row in found.demonstrations} | {row.text for row in found.texts}
    learned = {text for row in found.rankings if row.split == "train" for text in row.responses}
    assert (tested & read) <= learned  # the same text under a prompt of the pool


def test_what_is_read_before_shows_nothing_of_what_people_preferred() -> None:
    found = pool.read(real("rankings_real.jsonl.gz").parent)
    best = {}
    for row in found.rankings:
        if row.split == "train" and len(row.responses) == 2:
            best[row.prompt_id] = row.responses[row.ranks.index(1)]
    shown = [row for row in found.demonstrations if row.prompt_id in best]
    share = sum(row.response == best[row.prompt_id] for row in shown) / len(shown)
    assert 0.46 < share < 0.54


SPLITS = ("train", "test")


@pytest.mark.slow
def test_the_benchmark_runs_from_end_to_end_and_tells_what_it_found(tmp_path: Path) -> None:
    real("rankings_real.jsonl.gz")
    written = tmp_path / "active.json"
    command = [
        sys.executable,
        "benchmarks/active_vs_random.py",
        "--tiny",
        "--json",
        str(written),
        "--data",
        str(FOLDER),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(written.read_text())
    assert [point["num_rankings"] for point in found["points"]] == [20, 40]
    first = found["points"][0]
    assert first["random"] == first["margin"] == first["ensemble"]  # the same model, before anybody chose
    assert first["minus_random"]["margin"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert "margin − random" in done.stdout
