"""The figures as a table for people."""

from typing import Any

HEAD = (
    "pace       tasks    people  next/s submit/s   next ms: p50   p95   p99   submit ms: p50   p95   p99  "
    " page p95  errors  CPU-ms (app + db)  driver"
)


def show(result: dict[str, Any]) -> None:
    print()
    print(HEAD)
    for one in result["cells"]:
        print(_line(one))
    for kind, text in {k: v for one in result["cells"] for k, v in one["first_errors"].items()}.items():
        print(f"  {kind}: {text}")
    print()
    print(
        f"acknowledged {result['acknowledged']:,}: lost {result['lost']}, duplicates {result['duplicates']}, "
        f"over-collected {result['over_collected']}; surplus {result['surplus']}, errors {result['errors']}"
    )
    growth = result["growth"]
    print(
        f"p95 at {growth['to_tasks']:,} tasks over p95 at {growth['from_tasks']:,}: "
        f"next {growth['next_p95']} x, submit {growth['submit_p95']} x"
    )
    for tasks, counts in result["queries"].items():
        shown = "; ".join(
            f"{step} " + ", ".join(f"{num} with {held} held" for held, num in by_held.items())
            for step, by_held in counts.items()
        )
        print(f"queries at {int(tasks):,} tasks: {shown}")
    print(
        "app and database CPU per submission with the next task: "
        f"{result['cpu_ms_per_submission']} ms in one request, {result['cpu_ms_apart']} ms in two"
    )
    if "label_studio" in result:
        _show_label_studio(result)
    print(f"{result['seconds']:.0f} s in all")


def _show_label_studio(result: dict[str, Any]) -> None:
    peer = result["label_studio"]
    if "why_not" in peer:
        print(f"Label Studio was not measured: {peer['why_not']}")
        return
    for one in peer["cells"].values():
        print(_line(one))
        for kind, text in one["first_errors"].items():
            print(f"  {kind}: {text}")
    print(
        f"Podium gets {result['ratio_label_studio']} x as many submissions out of a CPU second as Label Studio's page, "
        f"{result['ratio_label_studio_api']} x as many as its API"
    )


def _line(one: dict[str, Any]) -> str:
    next_ms, submit_ms = one["next_ms"], one["submit_ms"]
    return (
        f"{one['pace']:9} {one['tasks']:>9,} {one['labelers']:>6}"
        f" {one['claims_per_s']:>8.1f} {one['submits_per_s']:>8.1f}"
        f"{_three(next_ms):>31}{_three(submit_ms):>31}{_ms(one['page_ms']['p95']):>10}"
        f"{sum(one['errors'].values()):>8}"
        f"{one['cpu_ms_per_submission']:>8.1f} ({one['app_cpu_ms']:.1f} + {one['database_cpu_ms']:.1f})"
        f"{one['driver_cpu_share']:>7.0%}"
    )


def _three(figures: dict[str, Any]) -> str:
    return "".join(f"{_ms(figures[name]):>7}" for name in ("p50", "p95", "p99"))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
