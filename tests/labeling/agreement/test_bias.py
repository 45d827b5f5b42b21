"""What wins by its place or its length: shares by hand, planted effects found, no effect not found."""

from collections.abc import Callable

import numpy as np
import pytest

from labeling.models import ImportBatch, Prompt, Ranking, Response, Task
from labeling.services import bias
from labeling.services.agreement import Scope
from labeling.services.bias import Row
from tests.labeling.conftest import People


def report(rows: list[Row], lengths: dict[int, list[int]] | None = None) -> bias.Report:
    lengths = lengths or {row.task: [10] * len(row.ranks) for row in rows}
    return bias.of_rows(rows, lengths=lengths, languages={}, scope=Scope())


def some_rows(num: int, *, seed: int, first_wins: float = 0.0) -> list[Row]:
    """Random orders; in a share of the rankings what was shown first is put first."""
    rng, rows = np.random.default_rng(seed), []
    for task in range(num):
        displayed, ranks = rng.permutation(4), rng.permutation(4) + 1
        if rng.random() < first_wins:
            best, shown_first = int(ranks.argmin()), int(displayed[0])
            ranks[best], ranks[shown_first] = ranks[shown_first], 1
        rows.append(Row(task, 1, ranks.tolist(), displayed.tolist()))
    return rows


def test_a_win_belongs_to_the_place_in_which_the_best_was_shown() -> None:
    found = report([Row(1, 1, [3, 1, 2], [1, 2, 0]), Row(2, 1, [1, 2, 3], [2, 1, 0]), Row(3, 1, [2, 1], [1, 0])])
    assert [place.share.value for place in found.places] == pytest.approx([2 / 3, 0, 1 / 2])
    assert [place.expected for place in found.places] == pytest.approx([(1 / 3 + 1 / 3 + 1 / 2) / 3] * 2 + [1 / 3])
    assert [place.excess.num for place in found.places] == [3, 3, 2]


def test_the_tied_best_share_the_win() -> None:
    found = report([Row(1, 1, [1, 1, 2, 2], [0, 2, 1, 3])])
    assert [place.share.value for place in found.places] == [0.5, 0, 0.5, 0]


def test_of_two_the_one_shown_earlier_and_ties_are_left_out() -> None:
    found = report([Row(1, 1, [1, 2, 2], [0, 1, 2]), Row(2, 1, [1, 2, 3], [2, 1, 0])])
    assert found.earlier.share.value == pytest.approx(2 / 5)
    assert found.earlier.excess.value == pytest.approx(2 / 5 - 1 / 2)
    assert found.earlier.share.num == 5


def test_the_longer_of_two_by_how_much_longer() -> None:
    lengths = {1: [100, 105, 100, 400]}
    found = report([Row(1, 1, [2, 1, 4, 3], None)], lengths)
    assert found.longer.share.num == 5  # of six pairs, one is equally long
    assert found.longer.share.value == pytest.approx(3 / 5)
    by_ratio = {ratio.label: (ratio.share.value, ratio.share.num) for ratio in found.ratios}
    assert by_ratio["below 1.1 ×"] == (1.0, 2)
    assert by_ratio["3 × and more"] == (pytest.approx(1 / 3), 3)
    assert by_ratio["2 to 3 ×"] == (None, 0)


@pytest.mark.parametrize(("ratio", "label"), [(109, 0), (110, 1), (125, 2), (150, 3), (200, 4), (300, 5), (299, 4)])
def test_each_bin_holds_its_lower_end(ratio: int, label: int) -> None:
    found = report([Row(1, 1, [1, 2], None)], {1: [ratio, 100]})
    assert [effect.share.num for effect in found.ratios].index(1) == label


def test_an_empty_response_is_shorter_than_any() -> None:
    assert report([Row(1, 1, [1, 2], None)], {1: [5, 0]}).ratios[-1].share.value == 1.0


def test_a_planted_effect_is_found() -> None:
    planted = report(some_rows(600, seed=3, first_wins=0.3))
    assert planted.places[0].is_clear
    assert planted.places[0].excess.value == pytest.approx(0.3 * 0.75, abs=0.06)
    assert planted.earlier.is_clear


def test_where_there_is_no_effect_about_one_interval_in_twenty_says_so() -> None:
    found = [report(some_rows(200, seed=seed)) for seed in range(60)]
    assert 0 <= sum(one.places[0].is_clear for one in found) <= 8
    assert 0 <= sum(one.earlier.is_clear for one in found) <= 8


def test_the_verdict_is_a_plain_sentence() -> None:
    clear = report(some_rows(600, seed=3, first_wins=0.3)).places[0].in_words("The first shown")
    assert clear.startswith("The first shown wins ")
    assert "points more often than chance, interval " in clear
    unclear = report(some_rows(600, seed=7)).places[0].in_words("The first shown")
    assert unclear.startswith("No clear effect: the first shown wins ")
    assert "−" in unclear
    one = report([Row(1, 1, [2, 1], [0, 1])]).places[0].in_words("The first shown")
    assert one == "The first shown wins 50.0 points less often than chance; one task is too few for an interval."
    nothing = report([]).earlier.in_words("The first shown")
    assert nothing == "Nothing is known yet of how often the first shown wins: nothing to count."


def test_of_an_import_nobody_knows_what_was_shown_first(
    people: People, make_task: Callable[..., Task], rank: Callable[..., Ranking]
) -> None:
    batch = ImportBatch.objects.create(project=people.project, kind="rankings", filename="a", file_sha256="0" * 64)
    here, imported = make_task(), make_task()
    Prompt.objects.filter(pk=imported.prompt_id).update(language="de")
    Response.objects.filter(prompt=here.prompt, sample_index=2).update(text="x" * 500, num_chars=500)
    rank(here, people.labeler, [2, 3, 1], displayed=[2, 0, 1])
    rank(imported, people.labeler, [1, 2, 3], batch=batch)
    found = bias.report(people.project, Scope())
    assert (found.num_rankings, found.num_shown_here, found.num_tasks) == (2, 1, 2)
    assert [place.share.value for place in found.places] == [1.0, 0.0, 0.0]
    assert found.ratios[-1].share.value == 1.0
    assert found.ratios[-1].share.num == 2
    languages = {item.language: item for item in found.languages}
    assert (languages["de"].num_rankings, languages["de"].first.share.value) == (1, None)
    assert languages[""].first.share.value == 1.0
