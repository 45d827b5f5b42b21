"""Log-in, new passwords, the second step, and where one is logged in."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.test import Client

from labeling.models import User
from tests.labeling.conftest import People

NEW = "twelve blue kettles"


def log_in(client: Client, email: str, password: str = "a long password") -> Any:  # noqa: S107
    return client.post("/accounts/login/", {"login": email, "password": password})


def test_log_in_leads_home_and_log_out_ends_it(people: People, client: Client) -> None:
    assert log_in(client, "LENA@example.org")["Location"] == "/"
    assert client.get("/me/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/me/").status_code == 302


def test_a_link_that_was_opened_too_early_is_remembered_and_a_foreign_one_is_not(people: People) -> None:
    for target, expected in [("/p/tea/guidelines/", "/p/tea/guidelines/"), ("https://evil.example/", "/")]:
        form = {"login": "lena@example.org", "password": "a long password", "next": target}
        assert Client().post("/accounts/login/", form)["Location"] == expected


def test_an_imported_labeler_cannot_log_in(db: Any, client: Client) -> None:
    User.objects.create_user("worker-7@imported.invalid", None, is_imported=True, is_active=False)
    for password in ("", "None", "!"):
        log_in(client, "worker-7@imported.invalid", password)
        assert "_auth_user_id" not in client.session


def test_asking_for_a_new_password_tells_nobody_who_has_an_account(
    people: People, client: Client, mailoutbox: list[Any]
) -> None:
    answers = [
        client.post("/accounts/password/reset/", {"email": email}, follow=True)
        for email in ("lena@example.org", "nobody@example.org")
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    changing = re.compile(r"(csrf|value=|nonce=|hx-headers=)\S+( \S+}')?")
    bodies = [changing.sub("", answer.content.decode()) for answer in answers]
    assert bodies[0] == bodies[1]
    assert [mail.to for mail in mailoutbox] == [["lena@example.org"]]


def test_the_link_in_the_mail_sets_a_new_password_once(people: People, client: Client, mailoutbox: list[Any]) -> None:
    client.post("/accounts/password/reset/", {"email": "luis@example.org"})
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", mailoutbox[0].body)[1]  # type: ignore[index]
    form = client.get(link)["Location"]
    client.post(form, {"password1": NEW, "password2": NEW})
    people.labeler2.refresh_from_db()
    assert people.labeler2.check_password(NEW)
    assert b"no longer valid" in Client().get(link, follow=True).content


def test_changing_the_password_logs_the_other_devices_out(people: People) -> None:
    here, there = Client(), Client()
    log_in(here, "lena@example.org")
    log_in(there, "lena@example.org")
    here.post("/accounts/password/change/", {"oldpassword": "a long password", "password1": NEW, "password2": NEW})
    assert there.get("/me/").status_code == 302


def text(client: Client, address: str) -> str:
    return " ".join(re.sub("<[^>]*>", "", client.get(address).content.decode()).split())


def code_of(secret: str, counter: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the app shows at that time, which it is now."""
    monkeypatch.setattr(totp, "yield_hotp_counters_from_time", lambda: iter([counter]))
    return totp.format_hotp_value(totp.hotp_value(secret, counter))


@pytest.fixture
def with_app(people: People, monkeypatch: pytest.MonkeyPatch) -> tuple[Client, str]:
    """Mira, logged in, has just switched the second step on; and the secret of her app."""
    client = Client()
    log_in(client, "mira@example.org")
    EmailAddress.objects.create(user=people.manager, email="mira@example.org", primary=True, verified=False)
    client.post("/accounts/reauthenticate/", {"password": "a long password"})
    page = client.get("/accounts/2fa/totp/activate/")
    assert b"data:image/svg+xml" in page.content
    secret = page.context["form"].secret
    assert secret in page.content.decode()
    client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret, 7, monkeypatch)})
    return client, secret


def test_the_second_step_is_asked_for_once_it_is_switched_on(with_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = with_app
    later = Client()
    assert log_in(later, "mira@example.org")["Location"].startswith("/accounts/2fa/authenticate/")
    assert later.get("/me/").status_code == 302
    later.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert "_auth_user_id" not in later.session
    later.post("/accounts/2fa/authenticate/", {"code": code_of(secret, 8, monkeypatch)})
    assert later.get("/me/").status_code == 200


def test_the_page_says_when_the_app_was_used_and_how_many_codes_are_left(
    with_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, secret = with_app
    assert "Switched on just now, not used yet." in text(client, "/accounts/2fa/")
    assert "10 unused." in text(client, "/accounts/2fa/")
    codes = re.findall(r"<li>(\w+)</li>", client.get("/accounts/2fa/recovery-codes/").content.decode())
    assert len(codes) == 10
    later = Client()
    log_in(later, "mira@example.org")
    later.post("/accounts/2fa/authenticate/", {"code": code_of(secret, 8, monkeypatch)})
    assert "last used just now." in text(later, "/accounts/2fa/")
    last = Client()
    log_in(last, "mira@example.org")
    last.post("/accounts/2fa/authenticate/", {"code": codes[3]})
    assert "9 unused." in text(last, "/accounts/2fa/")


def test_new_codes_take_the_place_of_the_old_and_the_app_takes_all_with_it(with_app: Any) -> None:
    client, _ = with_app
    assert b"The 10 codes that you have stop working." in client.get("/accounts/2fa/recovery-codes/generate/").content
    before = client.get("/accounts/2fa/recovery-codes/").content
    assert client.post("/accounts/2fa/recovery-codes/generate/")["Location"] == "/accounts/2fa/recovery-codes/"
    after = client.get("/accounts/2fa/recovery-codes/").content
    assert after != before
    assert b"10 of 10 unused" in after
    assert b"Your recovery codes go, too." in client.get("/accounts/2fa/totp/deactivate/").content
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.exists()


def test_nobody_takes_another_address_by_themselves(people: People, client: Client) -> None:
    log_in(client, "lena@example.org")
    client.post("/accounts/email/", {"action_add": "", "email": "boss@example.org"})
    client.post("/accounts/email/", {"action_primary": "", "email": "boss@example.org"})
    people.labeler.refresh_from_db()
    assert people.labeler.email == "lena@example.org"
    assert not EmailAddress.objects.filter(email="boss@example.org").exists()


def test_account_pages_keep_the_navigation_of_the_project_one_was_in(people: People, client: Client) -> None:
    log_in(client, "lena@example.org")
    assert b'class="flow"' not in client.get("/accounts/2fa/").content
    client.get("/p/tea/guidelines/")
    assert b'class="flow"' in client.get("/accounts/2fa/").content
    people.project.memberships.filter(user=people.labeler).update(is_active=False)
    assert b"Tea" not in client.get("/accounts/2fa/").content


@pytest.mark.parametrize(
    "address",
    ["/accounts/2fa/", "/accounts/sessions/", "/accounts/password/change/", "/accounts/logout/"],
)
def test_account_pages_are_in_the_frame(people: People, client: Client, address: str) -> None:
    log_in(client, "lena@example.org")
    page = client.get(address).content.decode()
    assert '<header class="topbar">' in page
    assert 'href="/me/"' in page


@pytest.mark.parametrize(
    "address", ["/accounts/login/", "/accounts/password/reset/", "/accounts/signup/", "/accounts/inactive/"]
)
def test_pages_before_the_log_in_are_one_card(db: Any, client: Client, address: str) -> None:
    page = client.get(address).content.decode()
    assert 'class="entrance-card' in page
    assert "topbar" not in page
