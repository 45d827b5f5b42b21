"""Label Studio on the same machine, in the same run, by the same labelers: what a submission costs there.

Its package lives in an environment of its own (`make bench-peers`). It gets a database in the embedded Postgres and
runs under uWSGI with two workers. Only its public HTTP interface is used once it runs. The embedded Postgres has no
pg_trgm: Label Studio's trigram indexes of annotations are left out, which spares it their upkeep.
"""

import asyncio
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from . import seed, site
from .browser import Browser
from .drive import Crowd
from .measure import Meter, Spent, Tally
from .podium import Handed

VERSION = "1.23.2"
NUM_LABELERS = 40
BATCH = 250
NUM_TURNS = 3
Work = Callable[[float], Awaitable[tuple[Tally, Spent]]]
CONFIG = (
    '<View><Text name="prompt" value="$prompt"/><List name="responses" value="$responses" title="Responses"/>'
    '<Ranker name="order" toName="responses"/></View>'
)
MIGRATE = """
import django
from django.contrib.postgres.operations import CreateExtension
from django.core.management import call_command
from django.db.backends.utils import CursorWrapper
execute = CursorWrapper.execute
CreateExtension.database_forwards = lambda *args: None
def without_trigrams(cursor, sql, params=None):
    return None if "gin_trgm_ops" in str(sql) else execute(cursor, sql, params)
CursorWrapper.execute = without_trigrams
django.setup()
call_command("migrate", interactive=False, verbosity=0)
"""
# Its interface has no call that makes a person with a password, so its own models do.
PEOPLE = """
import sys
import django
django.setup()
from organizations.models import Organization
from users.models import User
admin = User.objects.create_user(email="admin@bench.example", username="admin", password=sys.argv[2])
organization = Organization.create_organization(created_by=admin, title="bench")
people = [User.objects.create_user(email=f"labeler{i}@bench.example", username=f"labeler{i}", password=sys.argv[2])
          for i in range(int(sys.argv[1]))]
for person in [admin, *people]:
    if not organization.has_user(person):
        organization.add_user(person)
    person.active_organization = organization
    person.save()
"""


@dataclass
class LabelStudio:
    """The same calls as `Podium`: what a labeler's page sends between two tasks.

    `is_page`: the next task as its own page asks for it (an action of its data manager, with task locks), instead of by
    the call of the public API, which is cheaper.
    """

    project: int
    is_page: bool = False
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    async def next(self, browser: Browser, *, besides: Handed | None = None) -> Handed | None:
        if self.is_page:
            path = f"/api/dm/actions?id=next_task&project={self.project}"
            task = (await browser.post(path, {"project": self.project})).json()
        else:
            task = (await browser.get(f"/api/projects/{self.project}/next")).json()
        return Handed(str(task["id"]), [item["id"] for item in task["data"]["responses"]], "")

    def ranks(self, task: Handed) -> dict[str, int]:
        """An order without ties: its Ranker knows none."""
        return {item: place for place, item in enumerate(self.rng.sample(task.letters, len(task.letters)), start=1)}

    async def submit(self, browser: Browser, task: Handed, ranks: dict[str, int], key: str) -> dict[str, Any]:
        order = sorted(ranks, key=lambda item: ranks[item])
        value = {"from_name": "order", "to_name": "responses", "type": "ranker", "value": {"ranker": {"rank": order}}}
        path = f"/api/tasks/{task.id}/annotations?project={self.project}"
        answer = await browser.post(path, {"result": [{"id": "r1", **value}], "lead_time": 42, "was_cancelled": False})
        return {"uid": str(answer.json()["id"]), "is_surplus": False}

    @staticmethod
    def new_key() -> str:
        return secrets.token_hex(8)


def beside(*, ours: Work, our_tasks: int, num_tasks: int, seconds: float, folder: Path, home: Path) -> dict[str, Any]:
    """Both sides' figures, in turns, and the ratios; or why there are none.

    `ours`: Podium's labelers at work for so many seconds, on `our_tasks`. The machine's own speed changes by the
    minute: only what was measured side by side can be divided.
    """
    python = folder / "bin" / "python"
    if not (folder / "bin" / "uwsgi").exists():
        why = f"{folder} holds no Label Studio; `make bench-peers` installs it there"
        return {"label_studio": {"why_not": why}, "ratio_label_studio": None}
    try:
        measured = _measure(python.absolute(), home, num_tasks, seconds, ours)
        measured["cells"]["podium"]["tasks"] = our_tasks
    except (site.SiteError, OSError) as error:
        return {"label_studio": {"why_not": str(error)}, "ratio_label_studio": None}
    cost = {name: one["cpu_ms_per_submission"] for name, one in measured["cells"].items()}
    ratios = {name: round(cost[name] / cost["podium"], 2) for name in ("page", "api")}
    return {"label_studio": measured, "ratio_label_studio": ratios["page"], "ratio_label_studio_api": ratios["api"]}


def _measure(python: Path, home: Path, num_tasks: int, seconds: float, ours: Work) -> dict[str, Any]:
    from labeling_load import cell  # the same columns

    password = secrets.token_urlsafe(16)
    with _server(python, home, password) as (host, port, pid):
        meter = Meter(app=[pid], database=[site.postmaster(home)])

        async def work() -> dict[str, Any]:
            admin = Browser(host, port)
            await _log_in(admin, "admin@bench.example", password)
            crowd = Crowd({}, double_share=0.0)
            for i in range(NUM_LABELERS):
                browser = Browser(host, port)
                await _log_in(browser, f"labeler{i}@bench.example", password)
                crowd.browsers[f"labeler{i}"] = browser
            sides: dict[str, Work] = {"podium": ours}
            for name in ("api", "page"):
                studio = LabelStudio(await _project(admin, num_tasks), is_page=name == "page")
                await crowd.without_pause(studio, 8, 3.0, 20)  # not counted: its first requests import half of it
                sides[name] = _worker(crowd, studio, meter)
            found = await _in_turns(sides, seconds)
            names = {"podium": "beside LS", "api": "LS, api", "page": "LS, page"}
            return {side: cell(names[side], num_tasks, NUM_LABELERS, *found[side]) for side in sides}

        return {"version": VERSION, "workers": 2, "turns": NUM_TURNS, "cells": asyncio.run(work())}


def _worker(crowd: Crowd, studio: LabelStudio, meter: Meter) -> Work:
    async def work(seconds: float) -> tuple[Tally, Spent]:
        before = meter.read()
        tally = await crowd.without_pause(studio, NUM_LABELERS, seconds, 10**9)
        return tally, meter.read() - before

    return work


async def _in_turns(sides: dict[str, Work], seconds: float) -> dict[str, tuple[Tally, Spent]]:
    """So many seconds of each side in all, in turns; each turn begins with another side."""
    turns: dict[str, list[tuple[Tally, Spent]]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(NUM_TURNS):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            turns[name].append(await sides[name](seconds / NUM_TURNS))
    return {
        name: (sum((tally for tally, _ in done), Tally()), sum((spent for _, spent in done), Spent(0, 0, 0, 0)))
        for name, done in turns.items()
    }


@contextmanager
def _server(python: Path, home: Path, password: str) -> Iterator[tuple[str, int, int]]:
    env = _environment(python, home)
    app = Path(env["PYTHONPATH"])
    started = time.monotonic()
    site.run([str(python), "-c", MIGRATE], env=env, cwd=app, what="Label Studio's migrate")
    site.run([str(python), "-c", PEOPLE, str(NUM_LABELERS), password], env=env, cwd=app, what="Label Studio's people")
    print(f"  its tables and people took {time.monotonic() - started:.0f} s", flush=True)
    host, port = "127.0.0.1", site.free_port()
    command = [
        str(python.with_name("uwsgi")),
        *("--http-socket", f"{host}:{port}", "--chdir", str(app), "--module", "core.wsgi:application"),
        *("--master", "--workers", "2", "--die-on-term", "--enable-threads", "--buffer-size", "32768"),
        *("--virtualenv", str(python.parent.parent), "--disable-logging"),
    ]
    log = home / "label-studio.log"
    with site.served(command, log=log, host=host, port=port, path="/user/login/", env=env, cwd=app, seconds=180) as pid:
        yield host, port, pid


def _environment(python: Path, home: Path) -> dict[str, str]:
    """A database of its own in the embedded Postgres; nothing that leaves the machine."""
    import psycopg2

    parts = urlsplit(os.environ["DATABASE_URL"])
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE label_studio")
    connection.close()
    data = home / "label-studio"
    data.mkdir()
    (packages,) = python.parent.parent.glob("lib/python*/site-packages")
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
        "PYTHONPATH": str(packages / "label_studio"),
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "DJANGO_DB": "default",
        "POSTGRE_NAME": "label_studio",
        "POSTGRE_USER": str(parts.username),
        "POSTGRE_PASSWORD": str(parts.password),
        "POSTGRE_HOST": str(parts.hostname),
        "POSTGRE_PORT": str(parts.port),
        "SECRET_KEY": secrets.token_hex(32),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "FEATURE_FLAGS_OFFLINE": "true",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LOG_LEVEL": "ERROR",
        "OMP_NUM_THREADS": "1",
    }


async def _log_in(browser: Browser, email: str, password: str) -> None:
    await browser.get("/user/login/")
    form = {"email": email, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    answer = await browser.send("POST", "/user/login/", urlencode(form).encode(), "application/x-www-form-urlencoded")
    if answer.status != 302:
        raise site.SiteError(f"Label Studio did not let {email} in")


async def _project(admin: Browser, num_tasks: int) -> int:
    """Tasks of four responses like Podium's, each wanted three times."""
    made = await admin.post(
        "/api/projects/",
        {"title": "bench", "label_config": CONFIG, "maximum_annotations": 3, "sampling": "Sequential sampling"},
    )
    number = int(made.json()["id"])
    rng = random.Random(1)
    for first in range(0, num_tasks, BATCH):
        tasks = [
            {
                "prompt": f"Prompt {n}",
                "responses": [
                    {"id": f"r{i}", "title": f"Response {i + 1}", "body": seed.answer(rng, f"{n}.{i}")}
                    for i in range(seed.NUM_RESPONSES)
                ],
            }
            for n in range(first, first + BATCH)
        ]
        await admin.post(f"/api/projects/{number}/import?return_task_ids=false", tasks)
    return number
