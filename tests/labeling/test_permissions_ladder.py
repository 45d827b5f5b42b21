"""Every address of the site, and who may open it. A new address without a rule here fails."""

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from labeling.models import (
    Demonstration,
    Evaluation,
    ImportBatch,
    Model,
    PlaygroundReply,
    PlaygroundSession,
    PlaygroundTurn,
    PromptAnnotation,
    PromptBrief,
    QualificationSet,
    Ranking,
    Review,
    Role,
    Round,
    Run,
    Snapshot,
    Task,
    TaskResponse,
    User,
    WrittenPrompt,
)
from labeling.services import people as invitations
from tests.labeling.conftest import People

PUBLIC, SIGNED_IN = "public", "signed in"
LABELER, REVIEWER, MANAGER = Role.LABELER, Role.REVIEWER, Role.MANAGER
LADDER = [LABELER, REVIEWER, MANAGER]

# The name of an address, and the least that opens it. Written down here and not read from the code: that is the point.
RULES: dict[str, str] = {
    # The frame
    "home": SIGNED_IN,
    "theme": PUBLIC,
    "service_worker": PUBLIC,  # scripts and file names, nothing of anybody: test_offline.py
    "offline": PUBLIC,
    "me": SIGNED_IN,
    "keys": SIGNED_IN,
    "join": PUBLIC,  # the token in the address is the key: test_invitations.py
    "projects": SIGNED_IN,
    "project_create": SIGNED_IN,  # superusers and managers of some project: test_projects.py
    "enter": LABELER,
    "search": MANAGER,
    "project_settings": MANAGER,
    "guidelines": LABELER,
    "guideline": LABELER,
    "guideline_publish": MANAGER,
    "people": MANAGER,
    "invite": MANAGER,
    "invitation_revoke": MANAGER,
    "person": MANAGER,
    "person_deactivate": MANAGER,
    "person_reactivate": MANAGER,
    "person_withdraw": MANAGER,
    "hours": MANAGER,
    "hours_csv": MANAGER,
    "survey_counts": MANAGER,
    "progress": MANAGER,
    # Work
    "work": LABELER,
    "work_next": LABELER,
    "work_task": LABELER,
    "statistics": LABELER,
    "survey": LABELER,
    "history": LABELER,
    "history_ranking": LABELER,
    "history_demonstration": LABELER,
    "history_prompt": LABELER,
    "history_annotation": LABELER,
    # Prompts, imports, tasks and rankings
    "prompts": MANAGER,
    "prompt_add": MANAGER,
    "prompts_select": MANAGER,
    "prompts_ask": MANAGER,
    "prompts_look": MANAGER,
    "prompts_similar": MANAGER,
    "prompts_suggest": MANAGER,
    "prompt": MANAGER,
    "response_clear": MANAGER,
    "imports": MANAGER,
    "import": MANAGER,
    "import_progress": MANAGER,
    "import_run": MANAGER,
    "import_forget": MANAGER,
    "import_refusals": MANAGER,
    "tasks": MANAGER,
    "task": MANAGER,
    "task_change": MANAGER,
    "task_state": MANAGER,
    "rankings": MANAGER,
    "ranking": MANAGER,
    "ranking_void": MANAGER,
    # Quality: reviewers review and grade, managers see who is who
    "guidelines_read": LABELER,
    "quality": MANAGER,
    "quality_person": MANAGER,
    "quality_readings": MANAGER,
    "known_answers": MANAGER,
    "reference": MANAGER,
    "task_use": MANAGER,
    "task_review": MANAGER,
    "qualification_sets": MANAGER,
    "qualification_set": MANAGER,
    "qualification_add": MANAGER,
    "qualification_change": MANAGER,
    "qualification_let_pass": MANAGER,
    "quality_reviews": MANAGER,
    "differences": MANAGER,  # it shows the model's order, and reviewers rank blind
    "differences_send": MANAGER,
    "difference": MANAGER,
    "payoff": MANAGER,
    "payoff_freeze": MANAGER,
    "payoff_start": MANAGER,
    "reviews": REVIEWER,
    "review_next": REVIEWER,
    "review": REVIEWER,
    "grades": REVIEWER,
    "grade": REVIEWER,
    # Agreement: reviewers read all but the leaderboard, for they rank blind
    "agreement": REVIEWER,
    "agreement_anew": REVIEWER,
    "biases": REVIEWER,
    "biases_anew": REVIEWER,
    "leaderboard": MANAGER,
    "leaderboard_anew": MANAGER,
    "by_model": MANAGER,
    "by_model_anew": MANAGER,
    # Evaluations: everybody but managers ranks blind
    "evaluations": MANAGER,
    "evaluation_new": MANAGER,
    "evaluation": MANAGER,
    "evaluation_more": MANAGER,
    "evaluation_cancel": MANAGER,
    "evaluation_retry": MANAGER,
    "evaluation_win_rates": MANAGER,
    "evaluation_prompts": MANAGER,
    # Data
    "snapshots": MANAGER,
    "snapshot_new": MANAGER,
    "snapshot": MANAGER,
    "snapshot_retry": MANAGER,
    "snapshot_data": MANAGER,
    "snapshot_manifest": MANAGER,
    # Dashboard, runs, models and rounds: reviewers read, managers act
    "dashboard": REVIEWER,
    "runs": REVIEWER,
    "runs_compare": REVIEWER,
    "workers": REVIEWER,
    "run_new": MANAGER,
    "run_new_stage": MANAGER,
    "run": REVIEWER,
    "run_report": REVIEWER,
    "run_curves": REVIEWER,
    "run_log": REVIEWER,
    "run_files": REVIEWER,
    "run_config": REVIEWER,
    "run_live": REVIEWER,
    "run_metrics_csv": REVIEWER,
    "run_log_text": REVIEWER,
    "run_file": MANAGER,  # responses with their model: a reviewer ranks blind
    "run_cancel": MANAGER,
    "run_resume": MANAGER,
    "run_note": MANAGER,
    "run_tasks": MANAGER,
    "models": REVIEWER,
    "model": REVIEWER,
    "model_card": REVIEWER,
    "model_card_file": REVIEWER,
    "model_archive": MANAGER,
    "model_import": MANAGER,
    "model_note": MANAGER,
    "model_promote": MANAGER,
    "model_retire": MANAGER,
    "model_restore": MANAGER,
    "rounds": REVIEWER,
    "round_start": MANAGER,
    "round": REVIEWER,
    "round_proceed": MANAGER,
    "round_retry": MANAGER,
    "round_cancel": MANAGER,
    # The report names models
    "report": MANAGER,
    "report_json": MANAGER,
    # The playground names models, and who is no manager ranks blind
    "playground": MANAGER,
    "playground_session": MANAGER,
    "playground_live": MANAGER,
    "playground_stop": MANAGER,
    "playground_wake": MANAGER,
    "playground_again": MANAGER,
    "playground_forget": MANAGER,
    "playground_rank": MANAGER,
    "playground_more": MANAGER,
    "playground_demonstrate": MANAGER,
    # The labeling API
    "api_next": LABELER,
    "api_preview": LABELER,
    "api_hints": LABELER,
    "api_draft": LABELER,
    "api_submit": LABELER,
    "api_skip": LABELER,
    "api_release": LABELER,
    "api_renew": LABELER,
    "api_revise": LABELER,
    "api_review_draft": REVIEWER,
    "api_schema": SIGNED_IN,
    "api_docs": SIGNED_IN,
    # Accounts
    "account_login": PUBLIC,
    "account_logout": PUBLIC,
    "account_inactive": PUBLIC,
    "account_signup": PUBLIC,  # says that people come by invitation
    "account_reauthenticate": SIGNED_IN,
    "account_email": SIGNED_IN,
    "account_email_verification_sent": PUBLIC,
    "account_confirm_email": PUBLIC,
    "account_change_password": SIGNED_IN,
    "account_set_password": SIGNED_IN,
    "account_reset_password": PUBLIC,
    "account_reset_password_done": PUBLIC,
    "account_reset_password_from_key": PUBLIC,
    "account_reset_password_from_key_done": PUBLIC,
    "account_confirm_login_code": PUBLIC,
    "mfa_authenticate": PUBLIC,
    "mfa_reauthenticate": SIGNED_IN,
    "mfa_index": SIGNED_IN,
    "mfa_activate_totp": SIGNED_IN,
    "mfa_deactivate_totp": SIGNED_IN,
    "mfa_view_recovery_codes": SIGNED_IN,
    "mfa_generate_recovery_codes": SIGNED_IN,
    "mfa_download_recovery_codes": SIGNED_IN,
    "usersessions_list": SIGNED_IN,
}
# Whose uid stands in the address.
THINGS: dict[str, list[str]] = {
    "prompt": ["prompt"],
    "response": ["response_clear"],
    "import": ["import", "import_progress", "import_run", "import_forget", "import_refusals"],
    "task": [
        "task", "task_change", "task_state", "task_use", "task_review", "difference", "work_task",
        "api_draft", "api_submit", "api_skip", "api_release", "api_renew",
    ],
    "ranking": ["ranking", "ranking_void", "history_ranking", "api_revise"],
    "demonstration": ["history_demonstration"],
    "written prompt": ["history_prompt"],
    "annotation": ["history_annotation"],
    "known answer": ["reference"],
    "set": ["qualification_set", "qualification_add", "qualification_change", "qualification_let_pass"],
    "review": ["review", "api_review_draft"],
    "answer to grade": ["grade"],
    "snapshot": ["snapshot", "snapshot_retry", "snapshot_data", "snapshot_manifest"],
    "run": [
        "run", "run_report", "run_curves", "run_log", "run_files", "run_config", "run_live",
        "run_log_text", "run_metrics_csv", "run_file", "run_cancel",
        "run_resume", "run_note", "run_tasks",
    ],
    "model": [
        "model", "model_card", "model_card_file", "model_archive", "model_note", "model_promote", "model_retire",
        "model_restore",
    ],
    "evaluation": [
        "evaluation", "evaluation_more", "evaluation_cancel", "evaluation_retry", "evaluation_win_rates",
        "evaluation_prompts",
    ],
    "round": ["round", "round_proceed", "round_retry", "round_cancel"],
    "conversation": [
        "playground_session", "playground_live", "playground_stop", "playground_wake", "playground_again",
        "playground_forget", "playground_rank", "playground_more",
    ],
    "answer in a conversation": ["playground_demonstrate"],
    "person": ["quality_person", "person", "person_deactivate", "person_reactivate", "person_withdraw"],
    "invitation": ["invitation_revoke"],
}  # fmt: skip
EXAMPLES = {"slug": "tea", "stage": "sft", "uuid": str(uuid.UUID(int=1)), "int": "1", "str": "word", "path": "a/b"}
OPEN = {200, 201, 204, 302, 400, 404, 405, 409, 410, 415, 422}


def _example(place: re.Match[str]) -> str:
    return EXAMPLES.get(place[2]) or EXAMPLES[place[1] or "str"]


@dataclass(frozen=True)
class Address:
    name: str
    route: str

    @property
    def example(self) -> str:
        """The address with something plausible in each place; no such object exists except the project."""
        if "(?P" in self.route:
            bare = re.sub(r"\(\?P<\w+>[^)]*\)", "1", self.route)
            return "/" + re.sub(r"[\^$\\]", "", bare)
        return "/" + re.sub(r"<(?:(\w+):)?(\w+)>", _example, self.route)

    @property
    def is_in_project(self) -> bool:
        return "<slug:slug>" in self.route

    @property
    def is_admin(self) -> bool:
        return self.route.startswith("admin/")


def walk(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[Address]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, route)
        else:
            yield Address(name=pattern.name or "", route=route)


ADDRESSES = list(walk(get_resolver().url_patterns))
OWN = [address for address in ADDRESSES if not address.is_admin]
IN_PROJECT = [address for address in OWN if address.is_in_project and address.name in RULES]


def ask(client: Client, address: Address) -> int:
    """The answer to a GET, or where only another verb exists, to that."""
    for verb in (client.get, client.post, client.put):
        status: int = verb(address.example).status_code
        if status != 405:
            return status
    return 405


def as_(person: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return client


def test_the_crawl_finds_the_site() -> None:
    assert len(OWN) > 40
    assert {"home", "people", "work", "account_login"} <= {address.name for address in OWN}


def test_every_address_has_a_name_and_a_rule() -> None:
    without = [address.route for address in OWN if address.name not in RULES]
    assert not without, f"Say in RULES who may open: {without}"


def test_every_rule_has_an_address() -> None:
    stale = sorted(set(RULES) - {address.name for address in OWN})
    assert stale == []


def wrong(client: Client, addresses: list[Address], expected: Callable[[Address], set[int]]) -> list[str]:
    """Addresses that answer otherwise. All are asked before anything is said, so that one run shows them all."""
    answers = [(address, ask(client, address)) for address in addresses]
    return [f"{address.name} {address.route}: {got}" for address, got in answers if got not in expected(address)]


def test_a_visitor_is_sent_to_the_log_in_whatever_the_verb(people: People) -> None:
    open_to_visitors = []
    for address in OWN:
        client = Client(raise_request_exception=False)
        for verb in (client.get, client.post, client.put, client.delete):
            answer = verb(address.example)
            is_sent_away = answer.status_code == 302 and "/accounts/login/" in answer["Location"]
            is_public = RULES.get(address.name) == PUBLIC and answer.status_code in OPEN
            if not (is_public or is_sent_away or answer.status_code in {401, 403}):
                open_to_visitors.append(f"{address.name}: {answer.status_code}")
    assert not open_to_visitors


def test_a_stranger_does_not_learn_that_the_project_exists(people: People) -> None:
    nowhere = [Address(address.name, address.route.replace("<slug:slug>", "none")) for address in IN_PROJECT]
    assert not wrong(as_(people.stranger), IN_PROJECT, lambda _: {404})
    assert not wrong(as_(people.stranger), nowhere, lambda _: {404})


@pytest.mark.parametrize("role", LADDER)
def test_a_member_opens_what_the_role_opens_and_no_more(people: People, role: Role) -> None:
    def expected(address: Address) -> set[int]:
        is_high_enough = LADDER.index(role) >= LADDER.index(Role(RULES[address.name]))
        return OPEN if is_high_enough else {403}

    person = {LABELER: people.labeler, REVIEWER: people.reviewer, MANAGER: people.manager}[role]
    assert not wrong(as_(person), IN_PROJECT, expected)


def test_who_was_taken_out_is_a_stranger(people: People) -> None:
    people.project.memberships.filter(user=people.manager).update(is_active=False)
    assert not wrong(as_(people.manager), IN_PROJECT, lambda _: {404})


def test_a_superuser_opens_every_project(people: People) -> None:
    root = User.objects.create_superuser("root@example.org", "a long password")
    assert not wrong(as_(root), IN_PROJECT, lambda _: OPEN)


def test_the_admin_is_for_staff_alone(people: People) -> None:
    admin = [address for address in ADDRESSES if address.is_admin and address.name != "logout"]
    assert len(admin) > 5
    for person in (people.labeler, people.manager):
        assert not wrong(as_(person), admin, lambda _: {302, 403, 404})
    assert not wrong(Client(raise_request_exception=False), admin, lambda _: {302, 404})


def test_the_admin_logs_in_through_the_page_that_counts_failures(db: Any) -> None:
    """Django's own admin log-in has no limit on attempts."""
    answer = Client().get("/admin/login/?next=/admin/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


@pytest.fixture
def things(people: People, make_prompt: Any) -> dict[str, uuid.UUID]:
    """One of each thing that has an address, in the project."""
    project, prompt = people.project, make_prompt()
    rows: dict[str, Any] = {"prompt": prompt, "response": prompt.responses.first(), "person": people.labeler}
    rows["import"] = ImportBatch.objects.create(
        project=project, kind="prompts", filename="a.csv", file_sha256="0" * 64, state="done"
    )
    rows["task"] = task = Task.objects.create(project=project, kind="rank", prompt=prompt, num_responses=4)
    for position, response in enumerate(prompt.responses.all()):
        TaskResponse.objects.create(task=task, response=response, position=position)
    rows["ranking"] = Ranking.objects.create(
        task=task, labeler=people.labeler, idempotency_key="k", displayed=[0, 1, 2, 3], ranks=[1, 2, 2, 3]
    )
    rows["demonstration"] = Demonstration.objects.create(
        prompt=prompt, labeler=people.labeler, idempotency_key="k", text="Because of the air."
    )
    brief = PromptBrief.objects.create(project=project, style="plain")
    asked = Task.objects.create(project=project, kind="write_prompt", brief=brief)
    rows["written prompt"] = WrittenPrompt.objects.create(
        task=asked, labeler=people.labeler, idempotency_key="k", prompt=prompt, instruction="Why?"
    )
    annotated = Task.objects.create(project=project, kind="annotate", prompt=prompt)
    rows["annotation"] = PromptAnnotation.objects.create(
        task=annotated, labeler=people.labeler, idempotency_key="k", prompt=prompt, asked=["Ambiguous"], labels=[]
    )
    rows["known answer"] = Task.objects.create(
        project=project, kind="rank", prompt=prompt, num_responses=4, purpose="gold"
    )
    for position, response in enumerate(prompt.responses.all()):
        TaskResponse.objects.create(task=rows["known answer"], response=response, position=position)
    rows["set"] = QualificationSet.objects.create(project=project, kind="demonstrate", name="one")
    rows["review"] = Review.objects.create(project=project, task=task, reason="asked")
    to_write = Task.objects.create(
        project=project, kind="demonstrate", prompt=prompt, purpose="qualification", qualification_set=rows["set"]
    )
    rows["answer to grade"] = Demonstration.objects.create(
        prompt=prompt, task=to_write, labeler=people.labeler2, idempotency_key="g", text="Because of the air."
    )
    rows["snapshot"] = Snapshot.objects.create(project=project, name="one", kind="reward")
    rows["run"] = Run.objects.create(project=project, stage="sft", name="one", idempotency_key="k")
    rows["model"] = Model.objects.get(project=project)
    rows["round"] = Round.objects.create(project=project, number=1)
    policy = Model.objects.create(project=project, name="policy", kind="policy", storage_key="m", is_retired=True)
    rows["conversation"] = talk = PlaygroundSession.objects.create(
        project=project, opened_by=people.manager, first_model=policy
    )
    turn = PlaygroundTurn.objects.create(session=talk, number=1, text="Why?", idempotency_key="k")
    rows["answer in a conversation"] = PlaygroundReply.objects.create(turn=turn, model=policy, side=0)
    rows["evaluation"] = evaluation = Evaluation.objects.create(
        project=project, name="one", splits=["valid"], num_prompts=1, max_prompt_tokens=8, max_new_tokens=8
    )
    rival = Model.objects.create(project=project, name="rival", kind="external")
    for position, model in enumerate((rows["model"], rival)):
        evaluation.entrants.create(model=model, position=position, is_baseline=position == 0)
    rows["invitation"], _ = invitations.invite(project=project, role=Role.LABELER, email="", by=people.manager)
    return {kind: row.uid for kind, row in rows.items()}


def with_things(things: dict[str, uuid.UUID]) -> list[Address]:
    """Addresses that have a uid, each with the uid of a real thing of the project tea."""
    uids = {name: str(things[kind]) for kind, names in THINGS.items() for name in names}
    return [
        Address(address.name, address.route.replace("<uuid:uid>", uids[address.name]))
        for address in IN_PROJECT
        if "<uuid:uid>" in address.route
    ]


def test_every_address_of_a_thing_says_of_which(things: dict[str, uuid.UUID]) -> None:
    assert set(THINGS) == set(things)
    assert {name for names in THINGS.values() for name in names} == {
        address.name for address in OWN if "<uuid:uid>" in address.route
    }


def test_a_foreign_thing_looks_like_one_that_does_not_exist(people: People, things: dict[str, uuid.UUID]) -> None:
    """A manager writes the uid of a foreign thing behind the name of their own project."""
    client, nothing = as_(people.stranger), {kind: uuid.uuid4() for kind in things}
    told = []
    for foreign, missing in zip(with_things(things), with_things(nothing), strict=True):
        there, nowhere = (
            [
                verb(address.example.replace("/tea/", "/coffee/"), content_type="application/json").status_code
                for verb in (client.get, client.post)
            ]
            for address in (foreign, missing)
        )
        if there != nowhere or min(there) < 400:
            told.append(f"{foreign.name}: {there}, and {nowhere} where there is nothing")
    assert told == []


def test_in_its_own_project_each_thing_is_found(people: People, things: dict[str, uuid.UUID]) -> None:
    """Or the test above would hold for pages that find nothing at all."""
    need_files = {"snapshot_data", "snapshot_manifest", "run_file", "model_archive"}
    client = as_(people.manager)
    managers = [a for a in with_things(things) if RULES[a.name] == MANAGER and a.name not in need_files]
    missing = [a.name for a in managers if client.get(a.example).status_code not in {200, 302, 405, 409}]
    assert missing == []
