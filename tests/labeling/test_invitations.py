"""People come by single-use links."""

import hashlib
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from labeling.models import Invitation, Membership, Role, User
from labeling.services import people as service
from tests.labeling.conftest import People

NEW = {"email": "nora@example.org", "name": "Nora", "password": "eleven green kettles"}


@pytest.fixture
def invite(people: People) -> Callable[..., str]:
    def make(role: Role = Role.LABELER, email: str = "") -> str:
        return service.invite(project=people.project, role=role, email=email, by=people.manager)[1]

    return make


def test_a_manager_makes_a_link_that_is_shown_once_and_stored_as_a_hash(people: People, client: Client) -> None:
    client.force_login(people.manager)
    answer = client.post("/p/tea/people/invite/", {"role": "reviewer", "email": "nora@example.org"})
    token = re.search(r"/join/([\w-]+)/", answer.content.decode())[1]  # type: ignore[index]
    invitation = Invitation.objects.get()
    assert invitation.token_hash == hashlib.sha256(token.encode()).hexdigest()
    assert (invitation.role, invitation.invited_by) == ("reviewer", people.manager)
    assert timedelta(hours=71) < invitation.expires_at - timezone.now() <= timedelta(hours=72)
    assert "no-store" in answer["Cache-Control"]
    assert token not in client.get("/p/tea/people/").content.decode()
    stored = Invitation.objects.values_list().get()
    assert token not in str(stored)


def test_a_new_person_joins_with_name_and_password_and_is_logged_in(
    people: People, client: Client, invite: Callable[..., str]
) -> None:
    address = f"/join/{invite(Role.REVIEWER)}/"
    assert b"Make my account" in client.get(address).content
    answer = client.post(address, NEW)
    assert answer.status_code == 302
    nora = User.objects.get(email="nora@example.org")
    assert nora.check_password("eleven green kettles")
    assert Membership.objects.get(user=nora).role == "reviewer"
    assert client.session["_auth_user_id"] == str(nora.pk)
    assert not nora.is_superuser
    assert not nora.is_staff


def test_an_invitation_for_an_address_makes_an_account_with_that_address_only(
    people: People, client: Client, invite: Callable[..., str]
) -> None:
    client.post(f"/join/{invite(email='kim@example.org')}/", NEW)
    assert User.objects.filter(email="kim@example.org").exists()
    assert not User.objects.filter(email="nora@example.org").exists()


def test_somebody_who_is_logged_in_joins_with_one_press(
    people: People, client: Client, invite: Callable[..., str]
) -> None:
    client.force_login(people.stranger)
    address = f"/join/{invite()}/"
    assert b"You are logged in as sam@example.org" in client.get(address).content
    assert not people.project.memberships.filter(user=people.stranger).exists()
    client.post(address)
    assert people.project.memberships.get(user=people.stranger).role == "labeler"


def test_a_used_link_gets_410_from_a_visitor_and_from_a_member(
    people: People, client: Client, invite: Callable[..., str]
) -> None:
    address = f"/join/{invite()}/"
    client.post(address, NEW)
    for visitor in (Client(), client):
        for answer in (visitor.get(address), visitor.post(address, {**NEW, "email": "second@example.org"})):
            assert answer.status_code == 410
            assert b"has been used" in answer.content
    assert not User.objects.filter(email="second@example.org").exists()


def test_a_link_that_ran_out_gets_410(people: People, client: Client, invite: Callable[..., str]) -> None:
    address = f"/join/{invite()}/"
    now = timezone.now()
    Invitation.objects.update(created_at=now - timedelta(hours=73), expires_at=now - timedelta(hours=1))
    answer = client.post(address, NEW)
    assert answer.status_code == 410
    assert b"72 hours" in answer.content
    assert not User.objects.filter(email="nora@example.org").exists()


def test_a_withdrawn_link_gets_410_and_cannot_be_withdrawn_by_another_project(
    people: People, client: Client, invite: Callable[..., str]
) -> None:
    address = f"/join/{invite()}/"
    uid = Invitation.objects.get().uid
    client.force_login(people.stranger)
    assert client.post(f"/p/coffee/people/invitations/{uid}/revoke/").status_code == 404
    assert Invitation.objects.get().revoked_at is None
    client.force_login(people.manager)
    client.post(f"/p/tea/people/invitations/{uid}/revoke/")
    answer = Client().get(address)
    assert answer.status_code == 410
    assert b"withdrawn" in answer.content


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "..", "<script>"])
def test_a_link_that_was_never_made_gets_410(db: Any, client: Client, token: str) -> None:
    assert client.get(f"/join/{token}/").status_code == 410


def test_a_weak_password_or_a_known_address_makes_no_account_and_leaves_the_link_open(
    people: People, client: Client, invite: Callable[..., str]
) -> None:
    address = f"/join/{invite()}/"
    for wrong, why in [
        ({"password": "short"}, b"too short"),
        ({"password": "password1234"}, b"too common"),
        ({"email": "LENA@example.org"}, b"There is an account with this address"),
        ({"name": ""}, b"required"),
    ]:
        answer = client.post(address, {**NEW, **wrong})
        assert answer.status_code == 200
        assert why in answer.content
    assert not User.objects.filter(name="Nora").exists()
    assert Invitation.objects.get().accepted_at is None


def test_a_lower_invitation_takes_nothing_away(people: People, client: Client, invite: Callable[..., str]) -> None:
    client.force_login(people.manager)
    client.post(f"/join/{invite(Role.LABELER)}/")
    assert people.project.memberships.get(user=people.manager).role == "manager"


def test_somebody_who_left_comes_back_with_the_role_of_the_new_link(
    people: People, client: Client, invite: Callable[..., str]
) -> None:
    people.project.memberships.filter(user=people.reviewer).update(is_active=False)
    client.force_login(people.reviewer)
    client.post(f"/join/{invite(Role.LABELER)}/")
    membership = people.project.memberships.get(user=people.reviewer)
    assert (membership.role, membership.is_active) == ("labeler", True)


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_open_a_link_at_once_one_becomes_a_member(people: People, invite: Callable[..., str]) -> None:
    token = invite()
    late = User.objects.create_user("late@example.org", "a long password")
    barrier, outcomes = threading.Barrier(2), []

    def open_it(user: User) -> None:
        barrier.wait()
        try:
            service.accept(token=token, user=user)
            outcomes.append("in")
        except service.InvitationGoneError:
            outcomes.append("gone")
        finally:
            connection.close()

    threads = [threading.Thread(target=open_it, args=[user]) for user in (people.stranger, late)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(outcomes) == ["gone", "in"]
    assert people.project.memberships.filter(user__in=[people.stranger, late]).count() == 1


def test_an_account_is_not_left_behind_when_the_link_is_used_in_between(
    people: People, invite: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = invite()
    seen_open = service.find_invitation(token=token)
    service.accept(token=token, user=people.stranger)
    monkeypatch.setattr(service, "find_invitation", lambda *, token: seen_open)
    with pytest.raises(service.InvitationGoneError):
        service.accept_as_new(token=token, **NEW)
    assert not User.objects.filter(email="nora@example.org").exists()
