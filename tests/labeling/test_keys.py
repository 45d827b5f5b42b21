"""One's own keys: what may be chosen, what is refused and by which name, and that the page says the same."""

import json
import re

import pytest

from labeling.models import Task
from labeling.services import keys, tasks


def test_whoever_chose_nothing_has_the_defaults(people):
    own = keys.of(people.labeler)
    assert {action: key.key for action, key in own.items()} == {a: default for a, (default, _) in keys.ACTIONS.items()}
    assert not any(key.is_own for key in own.values())


def test_no_two_defaults_are_the_same_key():
    defaults = [default for default, _ in keys.ACTIONS.values()]
    assert len(set(defaults)) == len(defaults)
    assert not set(defaults) & set(keys.TAKEN)


def test_only_what_differs_is_kept(people):
    keys.save(user=people.labeler, keys={"tie": "X", "skip": "s", "undo": "  "})
    people.labeler.refresh_from_db()
    assert people.labeler.keys == {"tie": "x"}
    assert keys.of(people.labeler)["tie"].key == "x"


@pytest.mark.parametrize(
    ("wanted", "action", "word"),
    [
        ({"tie": "s"}, "tie", "skip"),  # another one's default
        ({"tie": "y", "compare": "Y"}, "compare", "tie with the card above"),
        ({"flags": "3"}, "flags", "a rank"),
        ({"flags": "ArrowUp"}, "flags", "the card before"),
        ({"flags": "Escape"}, "flags", "closing"),
        ({"flags": "fg"}, "flags", "no key"),
        ({"flags": "<script>"}, "flags", "no key"),
        ({"flags": "\u0000"}, "flags", "no character"),
    ],
)
def test_a_key_that_is_taken_is_refused_by_name(people, wanted, action, word):
    with pytest.raises(keys.KeysError) as refused:
        keys.save(user=people.labeler, keys=wanted)
    assert word in refused.value.errors[action]
    people.labeler.refresh_from_db()
    assert people.labeler.keys == {}


def test_two_actions_can_change_places(people):
    keys.save(user=people.labeler, keys={"skip": "f", "flags": "s"})
    assert {action: keys.of(people.labeler)[action].key for action in ("skip", "flags")} == {"skip": "f", "flags": "s"}


def test_the_form_saves_refuses_and_resets(people, client):
    client.force_login(people.labeler)
    answer = client.post("/me/keys/", {"tie": "c"})
    assert answer.status_code == 422
    assert "is used for “compare with another, side by side” too" in answer.content.decode()
    assert client.post("/me/keys/", {"tie": "c", "compare": " ", "expand": "x"}).status_code == 302
    people.labeler.refresh_from_db()
    assert people.labeler.keys == {"tie": "c", "compare": "Space", "expand": "x"}
    client.post("/me/keys/", {"tie": "q", "reset": "1"})
    people.labeler.refresh_from_db()
    assert people.labeler.keys == {}


def test_the_pages_hints_and_the_handlers_map_say_the_same(people, client, make_prompt):
    prompt = make_prompt(k=3)
    tasks.make_ranking_tasks(
        project=people.project, prompts=[prompt], num_responses=3, num_wanted=1, user=people.manager
    )
    keys.save(user=people.labeler, keys={"undo": "u", "skip": "x"})
    client.force_login(people.labeler)
    page = client.get(f"/p/tea/work/task/{Task.objects.get().uid}/").content.decode()
    told = re.search(r"<div data-own-keys hidden><script[^>]*>(.*?)</script>", page)
    assert told
    assert json.loads(told[1])["undo"] == "u"
    assert 'data-undo aria-keyshortcuts="u"' in page
    assert 'aria-keyshortcuts="x">Skip' in page
    assert re.search(r"<kbd>U</kbd>\s*</dt><dd>undo</dd>", page)


def test_keys_that_some_other_version_left_behind_do_no_harm(people):
    people.labeler.keys = {"dance": "d"}
    assert "dance" not in keys.of(people.labeler)
    people.labeler.keys = []
    assert keys.of(people.labeler)["tie"].key == "="
