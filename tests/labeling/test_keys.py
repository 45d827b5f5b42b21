"""One's own keys: what may be chosen, what is refused and by which name, and that the page says the same."""

import json
import re

import pytest

from labeling.models import PromptBrief, Task
from labeling.services import asking, keys, tasks


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
        ({"flags": "ArrowLeft"}, "flags", "of two, the left one is better"),
        ({"flags": "3"}, "flags", "a rank"),
        ({"flags": "Enter"}, "flags", "sending a comparison"),
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


def test_each_page_knows_only_its_own_actions_and_says_them_in_its_words(people):
    keys.save(user=people.labeler, keys={"tie": "x", "none": "b"})
    compare, labels = keys.on_page(people.labeler, "compare"), keys.on_page(people.labeler, "annotate")
    assert (compare["tie"].key, compare["tie"].does) == ("x", "they tie")
    assert (compare["none"].does, labels["none"].does) == ("both are bad", "none of these holds")
    assert "undo" not in compare
    assert "tie" not in labels
    assert set(keys.on_page(people.labeler, "write")) == {"guidelines", "skip", "submit", "help"}


def test_what_is_changed_cannot_be_skipped_and_what_is_looked_at_cannot_be_changed(people):
    assert "skip" not in keys.on_page(people.labeler, "compare", "again")
    assert set(keys.on_page(people.labeler, "rank", "read")) == keys.LOOKING


def test_labels_get_keys_that_do_nothing_else_there(people):
    keys.save(user=people.labeler, keys={"none": "b", "skip": "F2"})
    given = keys.for_labels(40, besides=keys.on_page(people.labeler, "annotate"))
    assert given[:13] == [*"123456789", "a", "c", "d", "e"]
    assert {"b", "g"}.isdisjoint(given)
    assert {"n", "s"} <= set(given)
    assert given[-1] == ""
    assert len(given) == 40


@pytest.mark.parametrize("kind", ["compare", "annotate", "demonstrate", "write_prompt"])
def test_every_kind_of_work_has_the_keys_that_its_owner_chose(people, client, make_prompt, kind):
    people.project.prompt_labels = [f"Label {number}" for number in range(12)]
    people.project.save()
    prompt = make_prompt(k=2)
    make = {
        "compare": lambda: asking.ask_for_comparisons(project=people.project, prompts=[prompt], user=people.manager),
        "annotate": lambda: asking.ask_for_annotations(project=people.project, prompts=[prompt], user=people.manager),
        "demonstrate": lambda: tasks.make_demonstration_tasks(
            project=people.project, prompts=[prompt], user=people.manager
        ),
        "write_prompt": lambda: asking.ask_for_prompts(
            brief=PromptBrief(project=people.project, style="plain"), user=people.manager, num_tasks=1
        ),
    }
    make[kind]()
    keys.save(user=people.labeler, keys={"skip": "x", "none": "b", "tie": "y"})
    client.force_login(people.labeler)
    page = client.get(f"/p/tea/work/task/{Task.objects.get().uid}/").content.decode()
    told = re.search(r"<div data-own-keys hidden><script[^>]*>(.*?)</script>", page)
    assert told
    assert json.loads(told[1]).items() >= {"skip": "x", "submit": "Ctrl+Enter"}.items()
    assert 'aria-keyshortcuts="x">Skip' in page
    assert re.search(r"<kbd>X</kbd>\s*</dt><dd>skip</dd>", page)
    if kind == "compare":
        assert re.search(r"Both are bad <kbd>B</kbd>", page)
        assert re.search(r"Tie <kbd>Y</kbd>", page)
    if kind == "annotate":
        assert re.findall(r'data-key="([a-z])"', page) == ["a", "c", "d"]
