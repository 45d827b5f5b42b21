"""Projects of any size by SQL, and labelers who are logged in.

One task is made as the product makes it; all others are copies of its rows with other numbers. So a column that is
added tomorrow is filled as the product fills it.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NUM_RESPONSES = 4
NUM_WANTED = 3
MAX_PROMPTS = 20_000  # tasks beyond share prompts; within a run no two labelers' tasks in a row do
WORDS = (  # noqa: SIM905
    "a clear answer says first what matters most and then why it holds with numbers where there are some because who "
    "reads nine of them in a row has little patience for praise of the question or for what everybody knows already so "
    "short sentences plain words one example and the limits of what can be known help more than length or style do"
).split()


@dataclass(frozen=True)
class Seeded:
    """A project with its number of tasks."""

    slug: str
    pk: int
    num_tasks: int
    seconds: float


def project(*, num_tasks: int, number: int, seed: int = 1) -> Seeded:
    """`num_tasks` ranking tasks of 4 responses that want 3 judgements each."""
    from django.db import connection, transaction

    started = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        template = _template(number, seed)
        cursor.execute("SET LOCAL session_replication_role = replica")  # copies of rows that were checked
        cursor.execute("SET LOCAL statement_timeout = 0")
        num_prompts = min(num_tasks, MAX_PROMPTS)
        prompts = _copy_prompts(cursor, template, num_prompts, random.Random(f"{seed}:{number}"))
        tasks = _copy_tasks(cursor, template, prompts, num_tasks)
        for table in ("prompt", "response", "task", "taskresponse", "slot"):
            _set_sequence(cursor, f"labeling_{table}")
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for table in ("prompt", "response", "task", "taskresponse", "slot"):
            cursor.execute(f"VACUUM (ANALYZE) labeling_{table}")
    assert tasks == num_tasks
    return Seeded(template.project.slug, template.project.pk, num_tasks, time.monotonic() - started)


@dataclass(frozen=True)
class _Template:
    """What the copies are made of."""

    project: Any
    prompt: Any
    responses: Sequence[Any]
    task: Any


def _template(number: int, seed: int) -> _Template:
    import hashlib

    from labeling.models import Guideline, Model, Project, Prompt, Response, Task, User
    from labeling.services import tasks

    manager, _ = User.objects.get_or_create(email="manager@bench.example", defaults={"name": "Manager"})
    project = Project.objects.create(slug=f"bench-{number}", name=f"Bench {number}", overlap=NUM_WANTED)
    Guideline.objects.create(project=project, version=1, text="Prefer what helps.", author=manager)
    model = Model.objects.create(project=project, name="model", kind=Model.Kind.EXTERNAL)
    text = f"Prompt 1 of {project.slug}"
    prompt = Prompt.objects.create(
        project=project,
        messages=[{"role": "user", "content": text}],
        text=text,
        num_chars=len(text),
        split="train",
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
        language="en",
    )
    rng = random.Random(seed)
    responses = [
        Response.objects.create(prompt=prompt, model=model, sample_index=i, text=text, num_chars=len(text))
        for i, text in enumerate(answer(rng, f"{number}.1.{i}") for i in range(NUM_RESPONSES))
    ]
    made = tasks.make_ranking_tasks(
        project=project, prompts=[prompt], num_responses=NUM_RESPONSES, num_wanted=NUM_WANTED, user=manager
    )
    return _Template(project, prompt, responses, Task.objects.get(pk__in=made.task_ids))


def answer(rng: random.Random, name: str) -> str:
    """About 120 words of Markdown: two paragraphs, a list, some bold; no two alike."""
    words = rng.choices(WORDS, k=rng.randint(90, 150))
    third = len(words) // 3
    first, second, third_part = words[:third], words[third : 2 * third], words[2 * third :]
    items = "\n".join(f"- **{third_part[i]}** {' '.join(third_part[i + 1 : i + 9])}" for i in range(0, third - 8, 10))
    return f"({name}) {' '.join(first)}.\n\n{' '.join(second)}.\n\n{items}"


def _copy_prompts(cursor: Any, template: _Template, num: int, rng: random.Random) -> int:
    """Prompts 2 to `num` with their responses. Returns the first prompt's id; the others follow it without a gap."""
    base = _last_id(cursor, "labeling_prompt")
    _clone(
        cursor,
        "labeling_prompt",
        template.prompt.pk,
        f"generate_series(2, {num}) n",
        id=f"{base} + n",
        uid="uuidv7()",
        messages="jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'Prompt ' || n || '. ' || t.text))",
        text="'Prompt ' || n || '. ' || t.text",
        content_hash="md5(n::text) || md5(t.project_id::text)",
        num_chars="length('Prompt ' || n || '. ' || t.text)",
    )
    cursor.execute("CREATE TEMPORARY TABLE answer (n integer, i integer, body text) ON COMMIT DROP")
    rows = [
        (n, i, answer(rng, f"{template.project.pk}.{n}.{i}")) for n in range(2, num + 1) for i in range(NUM_RESPONSES)
    ]
    _load(cursor, rows)
    first = _last_id(cursor, "labeling_response")
    _clone(
        cursor,
        "labeling_response",
        template.responses[0].pk,
        "answer",
        id=f"{first} + 1 + (n - 2) * {NUM_RESPONSES} + i",
        uid="uuidv7()",
        prompt_id=f"{base} + n",
        sample_index="i",
        text="body",
        num_chars="length(body)",
    )
    return base


def _load(cursor: Any, rows: Sequence[tuple[int, int, str]]) -> None:
    import io

    text = "".join(f"{n}\t{i}\t{body.replace(chr(10), chr(92) + 'n')}\n" for n, i, body in rows)
    cursor.cursor.copy_expert("COPY answer FROM STDIN", io.StringIO(text))


def _copy_tasks(cursor: Any, template: _Template, prompts: int, num: int) -> int:
    """Tasks 2 to `num`, each with the four responses of its prompt and three slots."""
    num_prompts = min(num, MAX_PROMPTS)
    base = _last_id(cursor, "labeling_task")
    turn = f"(2 + mod(n - 2, {max(1, num_prompts - 1)}))"  # the prompt's number
    series = f"generate_series(2, {num}) n"
    _clone(
        cursor,
        "labeling_task",
        template.task.pk,
        series,
        id=f"{base} + n",
        uid="uuidv7()",
        prompt_id=f"{prompts} + {turn}",
    )
    first = _last_id(cursor, "labeling_response") - NUM_RESPONSES * (num_prompts - 1)
    _clone(
        cursor,
        "labeling_taskresponse",
        template.task.task_responses.order_by("position")[0].pk,
        f"{series} CROSS JOIN generate_series(0, {NUM_RESPONSES - 1}) i",
        id=f"{_last_id(cursor, 'labeling_taskresponse')} + 1 + (n - 2) * {NUM_RESPONSES}::bigint + i",
        task_id=f"{base} + n",
        # A turn by the task's number: which sample stands first is no pattern.
        response_id=f"{first} + 1 + ({turn} - 2) * {NUM_RESPONSES} + mod(i + n, {NUM_RESPONSES})",
        position="i",
    )
    _clone(
        cursor,
        "labeling_slot",
        template.task.slots.order_by("number")[0].pk,
        f"{series} CROSS JOIN generate_series(1, {NUM_WANTED}) i",
        id=f"{_last_id(cursor, 'labeling_slot')} + 1 + (n - 2) * {NUM_WANTED}::bigint + i - 1",
        uid="uuidv7()",
        task_id=f"{base} + n",
        number="i",
    )
    cursor.execute("SELECT count(*) FROM labeling_task WHERE project_id = %s", [template.project.pk])
    return int(cursor.fetchone()[0])


def _clone(cursor: Any, table: str, template_id: int, source: str, **changed: str) -> None:
    """INSERT … SELECT of the template's row once per row of `source`, with `changed` columns as expressions."""
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = current_schema()"
        " AND is_generated = 'NEVER'",
        [table],
    )
    columns = [name for (name,) in cursor.fetchall()]
    values = ", ".join(changed.get(name, f"t.{name}") for name in columns)
    names = ", ".join(columns)
    cursor.execute(
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {source} CROSS JOIN {table} t WHERE t.id = %s",  # noqa: S608
        [template_id],
    )


def _last_id(cursor: Any, table: str) -> int:
    cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608
    return int(cursor.fetchone()[0])


def _set_sequence(cursor: Any, table: str) -> None:
    cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")  # noqa: S608


@dataclass(frozen=True)
class Labeler:
    """A person with the cookies of a browser that is logged in."""

    pk: int
    email: str
    cookies: dict[str, str]


def labelers(*, num: int, projects: Sequence[Seeded]) -> list[Labeler]:
    from labeling.models import Membership, Role, User

    nobody_knows = "!"  # as Django writes it where there is no password
    people = User.objects.bulk_create(
        User(email=f"labeler{i}@bench.example", name=f"Labeler {i}", password=nobody_knows, languages=["en"])
        for i in range(num)
    )
    Membership.objects.bulk_create(
        Membership(project_id=seeded.pk, user=person, role=Role.LABELER) for seeded in projects for person in people
    )
    return [Labeler(person.pk, person.email, log_in(person)) for person in people]


def log_in(person: Any) -> dict[str, str]:
    """What the log-in page leaves behind, without its slow password check."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.middleware.csrf import _get_new_csrf_string  # the secret, as the log-in makes it

    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(person.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = person.get_session_auth_hash()
    store.create()
    return {settings.SESSION_COOKIE_NAME: store.session_key, settings.CSRF_COOKIE_NAME: _get_new_csrf_string()}
