"""How late a metric is on the page, and what it costs: 5 runs that log 10 times a second, 50 open run pages, a browser.

    python benchmarks/live_metrics.py [--quick] [--json FILE] [--pages 50] [--runs 5] [--seconds 60]

Web server, workers, database and broker are those of `make up`, on a throw-away folder. Stages are small programs that
write through the product's own run directory. docs/benchmarks.md says what each figure means. Exit status 1 when a page
lacks a row or has one twice, or an answer failed.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from crowd import seed, site
from crowd.browser import Browser
from crowd.measure import Meter, Spent, latency
from faults.floor import Floor, prepare, wait_for
from live import pages, screen, stage

from config import chromium

OPEN_SECONDS = 4.0  # within which all pages are opened
SETTLE_SECONDS = 4.0
WANTED_SECONDS = 3.0


def main() -> int:
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with site.throw_away_home() as home:
        os.environ.update(PODIUM_TRAINING_PYTHON=str(_program(home)), OMP_NUM_THREADS="1")
        with site.services(home):
            site.migrate()
            floor = Floor(home)
            prepare(floor)
            try:
                result = _measure(args, floor)
            finally:
                floor.stop()
    _show(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if result["wrong"] or result["errors"] else 0


def _measure(args: argparse.Namespace, floor: Floor) -> dict[str, Any]:
    runs = [floor.begin() for _ in range(args.runs)]
    for number in range(args.runs):
        floor.start(f"gpu-{number + 1}", program="gpu")
    for run in runs:
        wait_for(lambda run=run: _steps(run) > 0, seconds=120, what=f"{run.name} logs")
    cookies = _manager(floor)
    with site.web(floor.home) as served:
        meters = {
            "web": Meter(app=served.app, database=[]),
            "database": Meter(app=[site.postmaster(floor.home)], database=[]),
            "broker": Meter(app=[site.broker(floor.home)], database=[]),
            "workers": Meter(app=[child.pid for child in floor.children.values()], database=[]),
        }
        addresses = [f"/p/{floor.project.slug}/runs/{run.uid}/" for run in runs]
        return asyncio.run(_follow(args, served, addresses, cookies, meters))


async def _follow(
    args: argparse.Namespace, served: site.Site, addresses: list[str], cookies: dict[str, str], meters: dict[str, Meter]
) -> dict[str, Any]:
    seen, rng = pages.Seen(), random.Random(1)
    opened = time.monotonic()
    begin = opened + OPEN_SECONDS + SETTLE_SECONDS
    until = begin + args.seconds
    found = [
        pages.Page(
            addresses[number % len(addresses)], Browser(served.host, served.port, dict(cookies)), seen, until
        )
        for number in range(args.pages)
    ]  # fmt: skip
    times = pages.opening_times(args.pages, begin=opened, seconds=OPEN_SECONDS, rng=rng)
    work = [asyncio.create_task(page.follow(at)) for page, at in zip(found, times, strict=True)]
    if (browser := chromium.find()) is None:
        raise SystemExit("No browser found: install Chromium, or set PODIUM_CHROMIUM to its path.")
    url = f"http://{served.host}:{served.port}{addresses[0]}curves/"
    look = asyncio.create_task(screen.watch(chromium=browser, url=url, cookies=cookies, begin=begin, until=until))
    await asyncio.sleep(begin - time.monotonic())
    before = {name: meter.read() for name, meter in meters.items()}
    seen.counts = True
    await asyncio.sleep(until - time.monotonic())
    seen.counts = False
    spent = {name: meter.read() - before[name] for name, meter in meters.items()}
    await asyncio.gather(*work)
    return _result(args, seen, spent, await look) | {"wrong": _wrong(found)}


def _result(
    args: argparse.Namespace, seen: pages.Seen, spent: dict[str, Spent], drawn: screen.Screen
) -> dict[str, Any]:
    wall = spent["web"].wall
    num_late = sum(lag > WANTED_SECONDS for lag in seen.lags)
    return {
        "runs": args.runs,
        "pages": args.pages,
        "rows_per_second": stage.PER_SECOND * args.runs,
        "seconds": round(wall, 1),
        "arrival_ms": latency(seen.lags),
        "arrival_within_3_s": round(1 - num_late / len(seen.lags), 5) if seen.lags else None,
        "pixels_newest_ms": latency(drawn.newest),
        "pixels_oldest_ms": latency(drawn.oldest),
        "frames_unchanged": drawn.num_unchanged,
        "answer_ms": latency(seen.answers),
        "requests_per_second": round(len(seen.answers) / wall, 1),
        "kilobytes_per_second": round(seen.num_bytes / wall / 1000, 1),
        "cpu_ms_per_second": {name: round(1000 * each.app / wall, 1) for name, each in spent.items()},
        "driver_cpu_ms_per_second": round(1000 * spent["web"].driver / wall, 1),
        "errors": dict(seen.errors),
        "first_error": seen.first_error,
    }


def _wrong(found: list[pages.Page]) -> list[str]:
    """Each page has each step once, in order, up to what is only just logged."""
    wrong = []
    for page in found:
        if page.steps != list(range(1, len(page.steps) + 1)):
            wrong.append(f"{page.address}: steps are missing or there twice")
        elif not page.times or time.time() - page.times[-1] > 2 * WANTED_SECONDS + OPEN_SECONDS:
            wrong.append(f"{page.address}: it ends at step {len(page.steps)}")
    return wrong


def _show(result: dict[str, Any]) -> None:
    print(
        f"{result['runs']} runs, {result['rows_per_second']} rows of metrics a second in all, {result['pages']} pages, "
        f"{result['seconds']:.0f} s\n"
    )
    print(f"{'':34} {'n':>7} {'p50':>7} {'p95':>7} {'p99':>7} {'max':>7}  ms")
    for name, key in (
        ("logged → in a page's hands", "arrival_ms"),
        ("logged → pixels, newest row", "pixels_newest_ms"),
        ("logged → pixels, oldest row", "pixels_oldest_ms"),
        ("an answer", "answer_ms"),
    ):
        row = result[key]
        cells = " ".join(
            f"{row[column] if row[column] is not None else '–':>7}" for column in ("p50", "p95", "p99", "max")
        )
        print(f"{name:34} {row['n']:>7} {cells}")
    print(f"\nwithin 3 s: {100 * (result['arrival_within_3_s'] or 0):.2f} % of all rows on all pages")
    print(f"requests/s: {result['requests_per_second']:.0f}, {result['kilobytes_per_second']:.0f} kB/s")
    print("CPU-ms per second: " + ", ".join(f"{name} {num:.0f}" for name, num in result["cpu_ms_per_second"].items()))
    print(f"of the measuring itself: {result['driver_cpu_ms_per_second']:.0f}, without its browser")
    for text in [*result["wrong"], *([result["first_error"]] if result["errors"] else [])]:
        print(text)


def _steps(run: Any) -> int:
    from labeling.models import RunMetric

    return RunMetric.objects.filter(run=run).count()


def _manager(floor: Floor) -> dict[str, str]:
    from labeling.models import Membership, Role, User

    person = User.objects.create_user("manager@bench.example", None, name="Manager")
    Membership.objects.create(project=floor.project, user=person, role=Role.MANAGER)
    return seed.log_in(person)


def _program(home: Path) -> Path:
    """Workers start stages with a Python; this one starts ours instead."""
    program = home / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(stage.__file__).resolve()}" "$@"\n')
    program.chmod(0o755)
    return program


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="twenty seconds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float)
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or (20.0 if arguments.quick else 60.0)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
