"""Faults around runs, on real workers, a real database and a real broker: does each run end once, with its own curve?

    python benchmarks/run_faults.py [--quick] [--json FILE] [--only "worker SIGKILL,disk full"] [--seed N]

One undisturbed run comes first. Every other run has the same config, is disturbed, and must end exactly once, with one
model whose weights, and with a curve whose every value, is the undisturbed one's. All of it happens in a throw-away
folder with servers of its own. docs/benchmarks.md says what was seen.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from crowd import site
from faults.cases import CASES, NotHere, Setting
from faults.floor import LEASE_SECONDS, Floor, FloorError, prepare
from faults.outcome import Undisturbed, undisturbed

HEAD = f"{'case':26} {'runs':>4} {'ok':>4} {'claims':>7} {'ended once':>11} {'seconds':>8}  outcome"


def main() -> int:
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.update(PODIUM_RUN_LEASE_SECONDS=str(LEASE_SECONDS), OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    seed = random.SystemRandom().getrandbits(32) if args.seed is None else args.seed
    started = time.monotonic()
    with site.throw_away_home() as home, site.services(home):
        site.migrate()
        floor = Floor(home)
        prepare(floor)
        for name in ("gpu", "worker", "beat"):
            floor.start(name)
        try:
            result = _all(args, floor, seed)
        finally:
            floor.stop()
    result |= {"seed": seed, "lease_seconds": LEASE_SECONDS, "seconds": round(time.monotonic() - started, 1)}
    _say_how_it_went(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(case["ok"] is not False for case in result["cases"]) else 1


def _all(args: argparse.Namespace, floor: Floor, seed: int) -> dict[str, Any]:
    base = undisturbed(floor)
    print(
        f"undisturbed: {base.curve[-1][0]} steps, {len(base.curve)} rows of metrics, {base.seconds:.1f} s", flush=True
    )
    print(f"\n{HEAD}")
    cases = []
    for name in args.only or CASES:
        cases.append(_one(name, args, floor, base, seed))
        print(_line(cases[-1]), flush=True)
    return {"undisturbed_seconds": round(base.seconds, 2), "steps": base.curve[-1][0], "cases": cases}


def _one(name: str, args: argparse.Namespace, floor: Floor, base: Undisturbed, seed: int) -> dict[str, Any]:
    num = args.num or (4 if args.quick else 20)
    setting = Setting(
        floor=floor,
        base=base,
        rng=random.Random(f"{seed} {name}"),
        num=num if name == "worker SIGKILL" else max(2, num // 4),
        broker_away_seconds=args.broker_away or (10.0 if args.quick else 60.0),
    )
    started = time.monotonic()
    try:
        outcomes = CASES[name](setting)
        why = ""
    except NotHere as reason:
        outcomes, why = [], str(reason)
    except FloorError as reason:
        return {"case": name, "ok": False, "why": str(reason), "runs": [], "seconds": _since(started)}
    ok = all(not outcome.wrong for outcome in outcomes) if outcomes else None
    runs = [outcome.as_dict() for outcome in outcomes]
    return {"case": name, "ok": ok, "why": why, "runs": runs, "seconds": _since(started)}


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)


def _line(case: dict[str, Any]) -> str:
    runs = case["runs"]
    good = sum(not run["wrong"] for run in runs)
    once = sum(run["state"] == "succeeded" and not any("times" in each for each in run["wrong"]) for run in runs)
    wrong = sorted({text for run in runs for text in run["wrong"]})
    said = case["why"] or "; ".join(wrong) or "each ended once; weights and curve are the undisturbed ones"
    claims = sum(run["claims"] for run in runs)
    return (
        f"{case['case']:26} {len(runs):>4} {good:>4} {claims:>7} {once:>11} {case['seconds']:>8.1f}  "
        f"{'not run here: ' if case['ok'] is None else ''}{said}"
    )


def _say_how_it_went(result: dict[str, Any]) -> None:
    cases = result["cases"]
    good = sum(case["ok"] is True for case in cases)
    print(f"\n{good} of {len(cases)} cases as they should be; seed {result['seed']}; {result['seconds']:.0f} s in all")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer kills, a shorter outage: under ten minutes")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--only", type=_names, help="these cases, by name, with commas between them")
    parser.add_argument("--num", type=int, help="kills of a worker; a quarter as many of a stage")
    parser.add_argument("--broker-away", type=float, metavar="SECONDS")
    parser.add_argument("--seed", type=int, help="of the moments; printed at the end")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in CASES]:
        raise argparse.ArgumentTypeError(f"there is no case “{unknown[0]}”; there are: {', '.join(CASES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
