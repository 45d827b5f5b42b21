"""Responses and judgements that come in: which judgements count, each once, and the real file whole."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.models import Model, Prompt, Ranking, Response, Slot, Task, User
from labeling.services.imports import ranking_rows, rows
from labeling.services.imports.columns import Reader
from labeling.services.imports.reasons import Refused

from ..conftest import People
from .conftest import Take, notes, real, reasons


def record(*texts: str, prompt: str = "Why?", **fields: Any) -> dict[str, Any]:
    responses = [{"text": text, "model": f"m{number}"} for number, text in enumerate(texts)]
    return {"prompt": prompt, "source": "blue", "responses": responses, **fields}


def judged() -> dict[str, list[int]]:
    """Ranks by labeler."""
    return {ranking.labeler.name: ranking.ranks for ranking in Ranking.objects.select_related("labeler")}


def test_each_annotator_becomes_a_labeler_with_a_ranking(take: Take, people: People) -> None:
    row = record(
        "a", "b", "c", annotations=[{"annotator": "r1", "ranks": [1, 2, 2]}, {"annotator": "r2", "ranks": [3, 1, 4]}]
    )
    batch = take("rankings", [row])
    assert judged() == {"r1 · blue": [1, 2, 2], "r2 · blue": [2, 1, 3]}
    task = Task.objects.get()
    assert (task.state, task.is_imported, task.num_wanted, task.num_responses, task.kind) == (
        "closed",
        True,
        2,
        3,
        "rank",
    )
    places = task.task_responses.values_list("position", "response__text")
    assert list(places) == [(0, "a"), (1, "b"), (2, "c")]
    assert set(Slot.objects.values_list("number", "state", "holder__name")) == {
        (1, "done", "r1 · blue"),
        (2, "done", "r2 · blue"),
    }
    ranking = Ranking.objects.first()
    assert ranking is not None
    assert (ranking.displayed, ranking.batch, ranking.slot is not None) == ([0, 1, 2], batch, True)
    assert "order of display" not in ranking.note
    assert "file's order" in ranking.note


def test_comparisons_that_leave_no_order_are_kept_in_twos_when_asked(take: Take) -> None:
    comparisons = [
        {"a": 2, "b": 0, "winner": "a", "annotator": "r1"},
        {"a": 0, "b": 2, "winner": "tie", "annotator": "r2"},
        {"a": 0, "b": 1, "winner": "a", "annotator": "r2"},
        {"a": 1, "b": 0, "winner": "a", "annotator": "r3"},
        {"a": 0, "b": 1, "winner": "a", "annotator": "r3"},  # both ways
    ]
    row = record("x", "y", "z", "w", comparisons=comparisons, ranks=[1, 2, 3, 4], ranks_from="pairwise_majority")
    batch = take("rankings", [row], comparisons="pairs")
    found = {
        (task.kind, tuple(task.task_responses.values_list("response__text", flat=True))): {
            ranking.labeler.name: ranking.ranks for ranking in task.rankings.all()
        }
        for task in Task.objects.all()
    }
    assert found == {
        ("compare", ("x", "z")): {"r1 · blue": [2, 1], "r2 · blue": [1, 1]},
        ("compare", ("x", "y")): {"r2 · blue": [1, 2]},
    }, "the majority's ranks are made of these and do not count beside them"
    assert notes(batch) == {"a comparison judged both ways by one person": 1}
    again = take("rankings", [row], comparisons="pairs")
    assert (reasons(again), Task.objects.count()) == ({"already here": [1]}, 2)


def test_imported_labelers_cannot_log_in(take: Take) -> None:
    take("rankings", [record("a", "b", annotations=[{"annotator": "r1", "ranks": [1, 2]}])])
    user = User.objects.get(is_imported=True)
    assert (user.is_active, user.has_usable_password(), user.memberships.count()) == (False, False, 0)
    assert user.email.endswith("@imported.invalid")


def test_the_same_name_in_two_data_sets_is_two_people(take: Take) -> None:
    annotations = [{"annotator": "r1", "ranks": [1, 2]}]
    take(
        "rankings",
        [record("a", "b", annotations=annotations), {**record("c", "d", annotations=annotations), "source": "red"}],
    )
    assert sorted(judged()) == ["r1 · blue", "r1 · red"]


@pytest.mark.parametrize(
    ("fields", "expected", "noticed"),
    [
        ({"ranks": [2, 1, 1], "ranks_from": "human"}, {"consensus · blue": [2, 1, 1]}, []),
        ({"ratings": [1.5, 3, 3]}, {"consensus · blue": [2, 1, 1]}, []),
        ({"annotations": [{"annotator": "r", "ratings": [5, 1, 3]}]}, {"r · blue": [1, 3, 2]}, []),
        (
            {"annotations": [{"annotator": "r", "ratings": [{"overall": 5}, {"overall": 1}, {"overall": 3}]}]},
            {"r · blue": [1, 3, 2]},
            [],
        ),
        (
            {"annotations": [{"annotator": "r", "ratings": [{"x": 5}, {"x": 1}, {"x": 3}]}]},
            {},
            ["ratings without an overall score"],
        ),
        ({"annotations": [{"annotator": "r", "ratings": [5, None, 3]}]}, {}, ["not every response judged"]),
        ({"annotations": [{"annotator": "r", "ranks": [1, None, 2]}]}, {}, ["not every response judged"]),
        # Ranks that people gave beat the ratings beside them, and annotations beat what was made of them.
        ({"annotations": [{"annotator": "r", "ranks": [3, 2, 1], "ratings": [9, 5, 1]}]}, {"r · blue": [3, 2, 1]}, []),
        ({"annotations": [{"annotator": "r", "ranks": [3, 2, 1]}], "ranks": [1, 2, 3]}, {"r · blue": [3, 2, 1]}, []),
        ({"ranks": [1, 2, 3], "ratings": [1, 2, 3]}, {"consensus · blue": [1, 2, 3]}, []),
        # Comparisons by labeler, where they leave one order.
        (
            {
                "comparisons": [
                    {"a": 0, "b": 1, "winner": "b", "annotator": "r"},
                    {"a": 0, "b": 2, "winner": "a", "annotator": "r"},
                ]
            },
            {"r · blue": [2, 1, 3]},
            [],
        ),
        (
            {"comparisons": [{"a": 0, "b": 1, "winner": "a", "annotator": "r"}], "ranks": [1, 2, 3]},
            {"consensus · blue": [1, 2, 3]},
            ["comparisons not a ranking"],
        ),
        ({"comparisons": [{"a": 0, "b": 1, "winner": "a", "annotator": "r"}]}, {}, ["comparisons not a ranking"]),
        # Comparisons of nobody in particular: the row's ranks are made of them, so the ranks count, once.
        (
            {"comparisons": [{"a": 0, "b": 1, "winner": "b"}], "ranks": [1, 2, 3]},
            {"consensus · blue": [1, 2, 3]},
            ["some comparisons disagree with the ranks"],
        ),
        (
            {"comparisons": [{"a": 0, "b": 1, "winner": "tie"}, {"a": 1, "b": 2, "winner": "a"}]},
            {"consensus · blue": [1, 1, 2]},
            [],
        ),
        ({}, {}, []),
    ],
    ids=lambda value: str(value)[:60],
)
def test_one_source_of_judgement_counts_per_record(
    take: Take, fields: dict[str, Any], expected: dict[str, Any], noticed: list[str]
) -> None:
    batch = take("rankings", [record("x", "y", "z", **fields)])
    assert (batch.num_taken, Prompt.objects.count(), Response.objects.count()) == (1, 1, 3)
    assert judged() == expected
    assert sorted(notes(batch)) == noticed
    assert Task.objects.count() == bool(expected), "without a judgement, nothing but prompt and responses"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"responses": []}, "fewer than 2 responses"),
        ({"responses": ["only one"]}, "fewer than 2 responses"),
        ({"responses": None}, "fewer than 2 responses"),
        ({"responses": ["x"] * 33}, "more than 32 responses"),
        ({"responses": ["a", {"text": True}]}, "response is not text"),
        ({"responses": ["a", None]}, "response is not text"),
        ({"responses": ["a", "b" * 200_001]}, "response too long"),
        ({"responses": ["a", "b\0"]}, "characters that cannot be stored"),
        ({"responses": ["a", {"text": "b", "model": "\0"}]}, "characters that cannot be stored"),
        ({"ranks": [1]}, "judgement does not fit the responses"),
        ({"ranks": [1, "2"]}, "judgement does not fit the responses"),
        ({"annotations": [{"annotator": "r", "ranks": [1, 2, 3]}]}, "judgement does not fit the responses"),
        ({"annotations": ["r"]}, "judgement does not fit the responses"),
        ({"annotations": [{"annotator": "r", "ranks": [1, 2]}] * 2}, "judgement does not fit the responses"),
        ({"comparisons": [{"a": 0, "b": 2, "winner": "a"}]}, "judgement does not fit the responses"),
        ({"comparisons": [{"a": 0, "b": 0, "winner": "a"}]}, "judgement does not fit the responses"),
        ({"comparisons": [{"a": 0, "b": 1, "winner": "left"}]}, "judgement does not fit the responses"),
        ({"prompt": ""}, "no prompt"),
        ({"prompt": "why", "meta": {"eval_only": True}}, "only for evaluation, but its prompt trains"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_record_that_does_not_hold_together_is_refused(take: Take, fields: dict[str, Any], reason: str) -> None:
    take("prompts", [{"prompt": "why", "split": "train"}], name="before.jsonl")
    batch = take("rankings", [{**record("a", "b"), **fields}])
    assert list(reasons(batch)) == [reason]
    assert not Response.objects.exists()
    assert not Model.objects.exists()


def test_a_second_reading_adds_nothing(take: Take) -> None:
    given_rows = [
        record("a", "b", annotations=[{"annotator": "r1", "ranks": [1, 2]}]),
        record("c", "d", prompt="unranked"),
    ]
    take("rankings", given_rows)
    before = [model.objects.count() for model in (Prompt, Response, Task, Slot, Ranking, User, Model)]
    again = take("rankings", given_rows)
    assert reasons(again) == {"already here": [1, 2]}
    assert [model.objects.count() for model in (Prompt, Response, Task, Slot, Ranking, User, Model)] == before


def test_a_new_labeler_of_a_known_record_joins_its_task(take: Take) -> None:
    take("rankings", [record("a", "b", annotations=[{"annotator": "r1", "ranks": [1, 2]}])])
    both = [{"annotator": "r1", "ranks": [1, 2]}, {"annotator": "r2", "ranks": [2, 1]}]
    batch = take("rankings", [record("a", "b", annotations=both)], name="longer.jsonl")
    assert batch.num_taken == 1
    task = Task.objects.get()
    assert (task.num_wanted, sorted(task.slots.values_list("number", flat=True))) == (2, [1, 2])
    assert judged() == {"r1 · blue": [1, 2], "r2 · blue": [2, 1]}
    assert Response.objects.count() == 2


def test_another_judgement_of_the_same_record_by_the_same_labeler_is_said(take: Take) -> None:
    take("rankings", [record("a", "b", annotations=[{"annotator": "r1", "ranks": [1, 2]}])])
    changed = [{"annotator": "r1", "ranks": [2, 1]}, {"annotator": "r2", "ranks": [1, 2]}]
    batch = take("rankings", [record("a", "b", annotations=changed)], name="changed.jsonl")
    assert notes(batch) == {"this labeler judged it differently before": 1}
    assert judged()["r1 · blue"] == [1, 2]


def test_the_same_record_judged_two_ways_in_one_file_counts_once(take: Take) -> None:
    one = record("a", "b", annotations=[{"annotator": "r1", "ranks": [1, 2]}])
    other = record("a", "b", annotations=[{"annotator": "r1", "ranks": [2, 1]}])
    batch = take("rankings", [one, other, one])
    assert reasons(batch) == {"already here": [2], "twice in this file": [3]}
    assert batch.refusals.get(line=2).detail == "this labeler judged it differently before"
    assert judged() == {"r1 · blue": [1, 2]}


def test_identical_responses_stay_samples_of_their_own(take: Take) -> None:
    same = {"text": "yes", "model": "m"}
    batch = take(
        "rankings", [{"prompt": "Why?", "responses": [same, same, {"text": "", "model": "m"}], "ranks": [1, 1, 2]}]
    )
    assert list(Response.objects.order_by("sample_index").values_list("sample_index", "text")) == [
        (0, "yes"),
        (1, "yes"),
        (2, ""),
    ]
    assert notes(batch) == {"identical responses": 1, "an empty response": 1}


def test_records_of_one_prompt_share_it_and_their_responses(take: Take) -> None:
    rows_of_one_prompt = [record("a", "b", ranks=[1, 2]), record("a", "c", ranks=[2, 1])]
    take("rankings", rows_of_one_prompt)
    assert (Prompt.objects.count(), Task.objects.count()) == (1, 2)
    assert set(Response.objects.values_list("model__name", "sample_index", "text")) == {
        ("m0", 0, "a"),
        ("m1", 0, "b"),
        ("m1", 1, "c"),
    }


def test_a_model_with_weights_is_not_taken_for_one_of_a_file(take: Take, people: People) -> None:
    ours = Model.objects.create(project=people.project, name="m0", kind="policy", storage_key="x")
    take("rankings", [record("a", "b")])
    assert not ours.responses.exists()
    assert set(Model.objects.exclude(pk=ours.pk).values_list("name", "kind")) == {
        ("m0 (imported)", "external"),
        ("m1", "external"),
    }


def test_preferences_are_rankings_of_two(take: Take) -> None:
    take("rankings", [{"prompt": "q", "chosen": "good", "rejected": "", "annotator": "r"}])
    assert judged() == {"r": [1, 2]}
    assert list(Response.objects.order_by("pk").values_list("text", flat=True)) == ["good", ""]


def test_a_response_that_names_its_model_is_marked(take: Take) -> None:
    responses = [("I am ChatGPT.", "x1"), ("As vicuna-13b I cannot.", "vicuna-13b"), ("A human wrote this.", "human")]
    take("rankings", [{"prompt": "Who?", "responses": [{"text": text, "model": model} for text, model in responses]}])
    assert dict(Response.objects.values_list("model__name", "names_itself")) == {
        "x1": True,
        "vicuna-13b": True,
        "human": False,
    }


def test_ratings_on_other_scales_stay_readable(take: Take) -> None:
    row = record(
        "a", "b", annotations=[{"annotator": "r", "ranks": [1, 2], "ratings": [{"overall": 95}, {"overall": 3}]}]
    )
    take("rankings", [row])
    ranking = Ranking.objects.get()
    assert (ranking.ratings, ranking.notes) == ([], {"0": "overall 95", "1": "overall 3"})


def test_the_real_rankings_come_in_whole_and_only_once(take: Take) -> None:
    path = real("rankings_real.jsonl.gz")
    batch = take("rankings", path)
    assert batch.state == "done"
    assert batch.num_taken + batch.num_refused == 1_242
    assert (batch.num_taken, reasons(batch)) == (1_242, {})
    assert (Prompt.objects.count(), Ranking.objects.count(), Task.objects.count()) == (1_156, 1_265, 671)
    # Labelers' own judgements where there are any: 3 raters of 181 + 55 translations, 3 reviewers of 45 stories.
    by_dataset = {
        name: Ranking.objects.filter(task__prompt__dataset=name).count()
        for name in ("wmt23_mqm_zhen", "wmt23_mqm_ende", "squality_human_eval")
    }
    assert by_dataset == {"wmt23_mqm_zhen": 543, "wmt23_mqm_ende": 165, "squality_human_eval": 135}
    assert Task.objects.filter(num_responses__gt=9).count() == 236
    assert reasons(take("rankings", path)) == {"already here": list(range(1, 1_243))}
    assert Ranking.objects.count() == 1_265


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["user", "a", "tie"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["text", "model", "role", "content", "annotator", "ranks", "ratings", "a", "b", "winner", "overall"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
COLUMNS = st.sampled_from(
    [
        "prompt",
        "responses",
        "ranks",
        "ratings",
        "annotations",
        "comparisons",
        "chosen",
        "rejected",
        "category",
        "lang",
        "split",
        "meta",
        "id",
        "customer",
    ]
)


@given(values=st.dictionaries(COLUMNS, VALUES, max_size=8), has_responses=st.booleans())
@settings(max_examples=600, deadline=None)
def test_whatever_a_row_holds_it_is_taken_or_refused(values: dict[str, Any], has_responses: bool) -> None:
    if has_responses:
        values = {"prompt": "why", **values, "responses": ["x", "y", "z"]}
    row = Reader("rankings").row(values)
    try:
        draft = ranking_rows.ranking(row, line=1, options=rows.Options(), max_chars=1_000)
    except Refused as refused:
        assert len(refused.reason) <= 60  # noqa: PT017  # both outcomes are fine, another exception is not
        return
    assert 2 <= len(draft.responses) <= 32
    for judgement in draft.judgements:
        assert len(judgement.ranks) == len(draft.responses)
        assert set(judgement.ranks) == set(range(1, max(judgement.ranks) + 1))
