"""The scripted labelers of `two_rounds.py`: what they like, and that they answer all there is, each task once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from hidden_taste import people, taste

from labeling.models import Project, Prompt, Ranking, Slot, Split


def test_a_word_counts_once_and_an_end_counts() -> None:
    assert taste.preference("Soup.") == 2
    assert taste.preference("soup soup soup soup") == 1
    assert taste.preference("Bread and milk") == 2
    assert taste.preference('"We ate fish, jam, cake, peas and soup!"') == 5
    assert taste.preference("The souper house is old") == 0


def test_most_points_come_first_and_equal_ones_are_tied() -> None:
    texts = ["Soup and bread.", "No.", "Fish and tea.", "the hill"]
    seen = [taste.ranks(texts, who=str(number)) for number in range(200)]
    assert max(seen, key=seen.count) == [1, 2, 1, 3]
    assert taste.ranks(texts, who="7") == seen[7], "an eye slips at the same place again"
    slipped = sum(each != [1, 2, 1, 3] for each in seen) / len(seen)
    assert 0.2 < slipped < 0.5, "each of four texts is misread one time in ten"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_scripted_labelers_answer_what_the_floor_hands_out_and_nothing_twice() -> None:
    project, _, labelers = people.demo_project()
    assert Project.objects.get() == project
    assert Prompt.objects.filter(project=project, split=Split.VALID).count() >= people.NUM_HELD_OUT
    num = people.answer_everything(project, labelers)
    given = Ranking.objects.filter(labeler__in=labelers)
    assert num == given.count() > 20
    assert {ranking.labeler for ranking in given} == set(labelers)
    assert not Slot.objects.filter(state=Slot.State.HELD, holder__in=labelers).exists()
    assert people.answer_everything(project, labelers) == 0
