"""Podium's labeling floor under load: 40 and 200 labelers at once on 1,000 to 1,000,000 tasks of three slots each.

    python benchmarks/labeling_load.py [--quick] [--json FILE] [--labelers 40,200] [--tasks 1000,100000,1000000]

It brings its own database, broker and web server (as `make up` serves them) in a throw-away folder, and traffic goes to
the loopback address alone. docs/benchmarks.md says what each figure means.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from crowd import audit, report, seed, site
from crowd.browser import Browser
from crowd.drive import Crowd
from crowd.measure import Meter, Spent, Tally, latency
from crowd.podium import WITH_SHEET, Podium

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    labelers: tuple[int, ...] = (40, 200)
    tasks: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    busy_seconds: float = 20.0  # without a pause, per number of labelers and of tasks
    busy_most: int = 1_200  # answers per such phase: 1,000 tasks give 3,000 in all
    human_labelers: int = 200
    human_seconds: float = 180.0
    think: tuple[float, float] = (20.0, 60.0)
    turn_labelers: int = 3  # few: this phase asks what a task costs, not how long the queue for the processor is
    turn_rounds: int = 200
    plain_seconds: float = 20.0  # 40 labelers, nothing sent twice: CPU per submission, apart, together, Label Studio's
    doubles: float = 0.2
    label_studio_tasks: int = 10_000  # it is filled through its own interface, which takes its time
    held: tuple[int, ...] = (10, 1_000)


QUICK = Plan(
    tasks=(1_000, 100_000),
    busy_seconds=6.0,
    busy_most=400,
    human_seconds=30.0,
    turn_rounds=50,
    plain_seconds=8.0,
    label_studio_tasks=1_000,
)


def main() -> int:
    args = _arguments()
    plan = _plan(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folder go whatever ends it
    started = time.monotonic()
    with site.throw_away_home() as home, site.services(home):
        say("bringing up the database, the broker and the tables")
        site.migrate()
        projects = []
        for number, num_tasks in enumerate(plan.tasks, start=1):
            projects.append(seed.project(num_tasks=num_tasks, number=number))
            say(f"seeded {num_tasks:,} tasks in {projects[-1].seconds:.1f} s")
        untouched = seed.project(num_tasks=2 * max(plan.held), number=len(projects) + 1)  # others hold much of it below
        num_people = max(*plan.labelers, plan.human_labelers, plan.turn_labelers)
        *people, bystander = seed.labelers(num=num_people + 1, projects=[*projects, untouched])
        with site.web(home) as served:
            meter = Meter(app=served.app, database=served.database)
            crowd = Crowd({who.email: Browser(served.host, served.port, dict(who.cookies)) for who in people})
            crowd.double_share = plan.doubles
            cells = asyncio.run(_phases(plan, projects, crowd, meter))
            beside = _label_studio(args.label_studio, plan, projects[-1], crowd, meter, home)
        found = audit.look(crowd.given, projects)
        queries = {
            str(seeded.num_tasks): audit.count_queries(seeded, bystander, plan.held)
            for seeded in (untouched, projects[-1])
            if seeded.num_tasks >= untouched.num_tasks
        }
    result = beside | _result(plan, cells, found.as_dict(), queries, time.monotonic() - started)
    report.show(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if found.lost or found.duplicates or found.over_collected else 0


async def _phases(plan: Plan, projects: list[seed.Seeded], crowd: Crowd, meter: Meter) -> list[dict[str, Any]]:
    cells = []

    async def phase(
        pace: str, seeded: seed.Seeded, num: int, work: Callable[[Podium], Coroutine[Any, Any, Tally]]
    ) -> None:
        say(f"{pace}: {num} labelers on {seeded.num_tasks:,} tasks")
        before = meter.read()
        tally = await work(Podium(seeded.slug))
        cells.append(cell(pace, seeded.num_tasks, num, tally, meter.read() - before))

    # 1. A first round, not counted: connections, caches, compiled templates.
    for seeded in projects:
        await crowd.without_pause(Podium(seeded.slug), min(16, max(plan.labelers)), 2.0, 60)
    # 2. The same few labelers in each project in turn: does a task cost more where there are more of them?
    before = meter.read()
    turns = await crowd.in_turn([Podium(p.slug) for p in projects], plan.turn_labelers, plan.turn_rounds)
    spent = meter.read() - before
    for seeded, tally in zip(projects, turns, strict=True):
        cells.append(cell("in turn", seeded.num_tasks, plan.turn_labelers, tally, _share(spent, len(projects))))
    # 3. Without a pause.
    for seeded in projects:
        for num in plan.labelers:
            await phase(
                "no pause",
                seeded,
                num,
                lambda podium, num=num: crowd.without_pause(podium, num, plan.busy_seconds, plan.busy_most),
            )
    # 4. Nothing sent twice: what one submission costs, by two requests and by the one that an answer can be.
    crowd.double_share = 0.0
    num = min(plan.labelers)
    for pace, then in (("apart", None), ("together", WITH_SHEET)):
        await phase(
            pace,
            projects[-1],
            num,
            lambda podium, then=then: crowd.without_pause(podium, num, plan.plain_seconds, 10**9, then),
        )
    crowd.double_share = plan.doubles
    # 5. As people work.
    at_hand = await crowd.settle(Podium(projects[-1].slug), plan.human_labelers)
    await phase(
        "human",
        projects[-1],
        plan.human_labelers,
        lambda podium: crowd.at_human_pace(podium, at_hand, plan.human_seconds, plan.think),
    )
    for browser in crowd.browsers.values():
        await browser.close()
    return cells


def _label_studio(
    folder: Path | None, plan: Plan, seeded: seed.Seeded, crowd: Crowd, meter: Meter, home: Path
) -> dict[str, Any]:
    """The same labelers there and here, in turns."""
    if folder is None:
        return {}
    from crowd import label_studio

    async def ours(seconds: float) -> tuple[Tally, Spent]:
        before = meter.read()
        podium, num = Podium(seeded.slug), label_studio.NUM_LABELERS
        tally = await crowd.without_pause(podium, num, seconds, 10**9, WITH_SHEET)
        return tally, meter.read() - before

    say("Label Studio: the same labelers, the same pace")
    crowd.double_share = 0.0
    return label_studio.beside(
        ours=ours,
        our_tasks=seeded.num_tasks,
        num_tasks=plan.label_studio_tasks,
        seconds=plan.plain_seconds * 1.5,
        folder=folder,
        home=home,
    )


def cell(pace: str, num_tasks: int, num_labelers: int, tally: Tally, spent: Spent) -> dict[str, Any]:
    per_submission = 1000 / max(1, tally.num_submitted)
    return {
        "pace": pace,
        "tasks": num_tasks,
        "labelers": num_labelers,
        "seconds": round(spent.wall, 2),
        "submissions": tally.num_submitted,
        "claims_per_s": round(len(tally.seconds["next"]) / spent.wall, 2),
        "submits_per_s": round(tally.num_submitted / spent.wall, 2),
        "next_ms": latency(tally.seconds["next"]),
        "submit_ms": latency(tally.seconds["submit"]),
        "page_ms": latency(tally.seconds["page"]),
        "errors": dict(tally.errors),
        "first_errors": tally.first_errors,
        "doubled": tally.num_doubled,
        "differing": tally.num_differing,
        "surplus": tally.num_surplus,
        "empty": tally.num_empty,
        "cpu_ms_per_submission": round(per_submission * (spent.app + spent.database), 2),
        "app_cpu_ms": round(per_submission * spent.app, 2),
        "database_cpu_ms": round(per_submission * spent.database, 2),
        "driver_cpu_share": round(spent.driver / max(1e-9, spent.wall), 3),  # of one core
    }


def _share(spent: Spent, num: int) -> Spent:
    """The projects were at work at the same time: each is charged the same part of the CPU, but all of the time."""
    return replace(spent, app=spent.app / num, database=spent.database / num, driver=spent.driver / num)


def _result(
    plan: Plan, cells: list[dict[str, Any]], found: dict[str, int], queries: dict[str, Any], seconds: float
) -> dict[str, Any]:
    turns = [one for one in cells if one["pace"] == "in turn"]
    first, last = turns[0]["next_ms"]["p95"], turns[-1]["next_ms"]["p95"]
    submits = [one["submit_ms"]["p95"] for one in turns]
    (apart,) = [one for one in cells if one["pace"] == "apart"]
    (together,) = [one for one in cells if one["pace"] == "together"]
    (human,) = [one for one in cells if one["pace"] == "human"]
    return found | {
        "errors": sum(sum(one["errors"].values()) for one in cells),
        "cpu_ms_per_submission": together["cpu_ms_per_submission"],
        "cpu_ms_apart": apart["cpu_ms_per_submission"],
        "human_next_p95_ms": human["next_ms"]["p95"],
        "growth": {
            "from_tasks": plan.tasks[0],
            "to_tasks": plan.tasks[-1],
            "next_p95": round(last / first, 3) if first and last else None,
            "submit_p95": round(submits[-1] / submits[0], 3) if all(submits) else None,
        },
        "queries": queries,
        "cells": cells,
        "seconds": round(seconds, 1),
    }


def _plan(args: argparse.Namespace) -> Plan:
    plan = QUICK if args.quick else Plan()
    chosen = {
        name: getattr(args, name) for name in ("labelers", "tasks", "human_labelers", "human_seconds", "think", "held")
    }
    chosen |= {"busy_seconds": args.seconds, "plain_seconds": args.seconds, "turn_rounds": args.rounds}
    return replace(plan, **{name: value for name, value in chosen.items() if value is not None})


def _arguments() -> argparse.Namespace:
    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(part.replace("_", "")) for part in text.split(","))

    def pause(text: str) -> tuple[float, float]:
        low, high = text.split(",")
        return float(low), float(high)

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: a few minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--labelers", type=numbers, metavar="40,200")
    parser.add_argument("--tasks", type=numbers, metavar="1000,100000", help="one project each, smallest first")
    parser.add_argument("--seconds", type=float, help="of each phase without a pause")
    parser.add_argument("--rounds", type=int, help="of the phase that goes through the projects in turn")
    parser.add_argument("--human-labelers", type=int)
    parser.add_argument("--human-seconds", type=float)
    parser.add_argument("--think", type=pause, metavar="20,60", help="seconds between two answers of a person")
    parser.add_argument("--held", type=numbers, metavar="10,1000", help="count queries while others hold so many tasks")
    parser.add_argument(
        "--label-studio",
        type=Path,
        metavar="FOLDER",
        help="run Label Studio too; its own environment is in FOLDER (make bench-peers)",
    )
    return parser.parse_args()


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
