"""Rows with responses, and whose judgements count.

One source per row, so that nothing counts twice: single labelers' annotations; else each labeler's comparisons, where
they leave one order; else the row's own ranks (or chosen over rejected), as one ranking by “consensus”; else the
comparisons of nobody in particular; else the row's mean ratings. What is derived never stands beside its origin.

Comparisons that leave no order of all responses are left out and counted, or kept as rankings of two when asked.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labeling.models import MAX_RESPONSES, MIN_RESPONSES
from labeling.services.imports import judgements, reasons, rows, texts
from labeling.services.imports.columns import Row
from labeling.services.imports.reasons import Refused

CONSENSUS = "consensus"
UNKNOWN_MODEL = "unknown"
Pairs = list[tuple[int, int, str]]


@dataclass(frozen=True)
class ResponseDraft:
    model: str
    text: str


@dataclass(frozen=True)
class JudgementDraft:
    labeler: str
    ranks: list[int]
    made_from: str
    notes: dict[str, str] = field(default_factory=dict)  # by position: ratings on a scale that is not ours
    pair: tuple[int, int] | None = None  # only of these two responses


@dataclass
class RankingDraft:
    prompt: rows.PromptDraft
    responses: list[ResponseDraft]
    judgements: list[JudgementDraft]
    notes: list[str]  # one per judgement left out or oddity seen

    @property
    def line(self) -> int:
        return self.prompt.line


def ranking(row: Row, *, line: int, options: rows.Options, max_chars: int) -> RankingDraft:
    prompt = rows.prompt(row, line=line, options=options, max_chars=max_chars)
    notes = list(prompt.notes)
    responses = _responses(row, notes)
    reader = _Judgements(len(responses), notes, keeps_pairs=options.comparisons == "pairs")
    found = reader.of(row)
    return RankingDraft(prompt=prompt, responses=responses, judgements=found, notes=notes)


# --- responses ---------------------------------------------------------------------------------------------------


def _responses(row: Row, notes: list[str]) -> list[ResponseDraft]:
    values = _list(row.get("responses"))
    if values is None and row.get("chosen") is not None:
        values = [row.get("chosen"), row.get("rejected")]
    if values is None or len(values) < MIN_RESPONSES:
        raise Refused(reasons.TOO_FEW_RESPONSES, f"{len(values or [])}")
    if len(values) > MAX_RESPONSES:
        raise Refused(reasons.TOO_MANY_RESPONSES, f"{len(values)}")
    responses = [_response(value, number) for number, value in enumerate(values, start=1)]
    if any(not response.text.strip() for response in responses):
        notes.append(reasons.NOTE_EMPTY_RESPONSE)  # models do answer nothing, and people rank it last
    if len({response.text for response in responses}) < len(responses):
        notes.append(reasons.NOTE_SAME_RESPONSES)  # each stays a sample of its own
    return responses


def _response(value: Any, number: int) -> ResponseDraft:
    text, model = (value.get("text"), value.get("model")) if isinstance(value, Mapping) else (value, None)
    if not isinstance(text, str):
        raise Refused(reasons.RESPONSE_NOT_TEXT, f"response {number} is a {type(text).__name__}")
    if len(text) > texts.MAX_RESPONSE_CHARS:
        raise Refused(reasons.RESPONSE_TOO_LONG, f"response {number} has {len(text):,} characters")
    return ResponseDraft(texts.short(model, 100) or UNKNOWN_MODEL, texts.checked(text, where=f"response {number}"))


# --- judgements --------------------------------------------------------------------------------------------------


@dataclass
class _Judgements:
    """Reads the judgements of one row. What is left out goes to the notes."""

    num_responses: int
    notes: list[str]
    keeps_pairs: bool

    def of(self, row: Row) -> list[JudgementDraft]:
        by_people = self._annotations(row.get("annotations"))
        pairs = _comparisons(row.get("comparisons"), self.num_responses)
        if not by_people:
            by_people = self._from_comparisons({who: pairs[who] for who in pairs if who})
        return by_people or self._of_nobody(row, pairs.get("", []))

    def _annotations(self, values: Any) -> list[JudgementDraft]:
        found: dict[str, JudgementDraft] = {}
        for number, item in enumerate(_list(values) or [], start=1):
            if not isinstance(item, Mapping):
                raise Refused(reasons.JUDGEMENT_DOES_NOT_FIT, f"annotation {number} is a {type(item).__name__}")
            who = texts.short(item.get("annotator"), 100) or f"unnamed {number}"
            if who in found:
                raise Refused(reasons.JUDGEMENT_DOES_NOT_FIT, f"two annotations by {who}")
            where = f"annotation {number}"
            if draft := self._from_numbers(who, item.get("ranks"), item.get("ratings"), where=where):
                found[who] = draft
        return list(found.values())

    def _from_numbers(
        self, who: str, ranks: Any, ratings: Any, *, where: str, ranks_from: str = "ranks"
    ) -> JudgementDraft | None:
        """Ranks as given; else ranks by overall rating. A response without one makes it partial: left out, and said."""
        num = self.num_responses
        if (given := _list(ranks)) is not None:
            found, made_from = judgements.from_ranks(given, num_responses=num, where=where), ranks_from
        elif (values := _list(ratings)) is None:
            return None
        elif (overall := judgements.overall(values)) is None:
            self.notes.append(reasons.NOTE_NO_OVERALL)
            return None
        else:
            found, made_from = judgements.from_ratings(overall, num_responses=num, where=where), "ratings"
        if found is None:
            self.notes.append(reasons.NOTE_PARTIAL)
            return None
        return JudgementDraft(who, found, made_from, _ratings_as_notes(ratings, num))

    def _of_nobody(self, row: Row, pairs: Pairs) -> list[JudgementDraft]:
        who = texts.short(row.get("annotator"), 100) or CONSENSUS
        ranks, ranks_from = row.get("ranks"), texts.short(row.get("ranks_from"), 40) or "ranks"
        if _list(row.get("responses")) is None:
            ranks, ranks_from = [1, 2], "chosen over rejected"
        if _list(ranks) is None and pairs:
            return self._from_comparisons({who: pairs})
        draft = self._from_numbers(who, ranks, row.get("ratings"), where="the row", ranks_from=ranks_from)
        if draft and pairs and judgements.num_against(pairs, draft.ranks):
            self.notes.append(reasons.NOTE_AGAINST_RANKS)
        return [draft] if draft else []

    def _from_comparisons(self, pairs: Mapping[str, Pairs]) -> list[JudgementDraft]:
        found = []
        for who, theirs in pairs.items():
            ranks = judgements.from_comparisons(theirs, num_responses=self.num_responses)
            if ranks is not None:
                found.append(JudgementDraft(who, ranks, "comparisons"))
            elif self.keeps_pairs:
                found += self._one_by_one(who, theirs)
            else:
                self.notes.append(reasons.NOTE_COMPARISONS)
        return found

    def _one_by_one(self, who: str, pairs: Pairs) -> list[JudgementDraft]:
        """Each pair as a ranking of two. A pair that somebody judged both ways says nothing."""
        by_pair: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        for a, b, winner in pairs:
            ranks = {"a": (1, 2), "b": (2, 1), "tie": (1, 1)}[winner]
            by_pair[min(a, b), max(a, b)].add(ranks if a < b else ranks[::-1])
        self.notes += [reasons.NOTE_BOTH_WAYS for ways in by_pair.values() if len(ways) > 1]
        return [
            JudgementDraft(who, list(*ways), "a comparison of two", pair=pair)
            for pair, ways in by_pair.items()
            if len(ways) == 1
        ]


def _comparisons(values: Any, num_responses: int) -> dict[str, Pairs]:
    """By labeler; "" for those of nobody in particular."""
    found: dict[str, Pairs] = defaultdict(list)
    for number, item in enumerate(_list(values) or [], start=1):
        pair = item if isinstance(item, Mapping) else {}
        a, b, winner = _index(pair.get("a"), num_responses), _index(pair.get("b"), num_responses), pair.get("winner")
        if a is None or b is None or a == b or winner not in ("a", "b", "tie"):
            raise Refused(reasons.JUDGEMENT_DOES_NOT_FIT, f"comparison {number}")
        found[texts.short(pair.get("annotator"), 100)].append((a, b, winner))
    return found


def _index(value: Any, num_responses: int) -> int | None:
    is_index = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < num_responses
    return value if is_index else None


def _ratings_as_notes(ratings: Any, num_responses: int) -> dict[str, str]:
    """Ratings come on any scale; ours is 1 to 7. They stay readable beside the response, as text."""
    values = _list(ratings)
    if values is None or len(values) != num_responses:
        return {}
    return {str(position): said for position, item in enumerate(values) if (said := _said(item))}


def _said(item: Any) -> str:
    pairs = item.items() if isinstance(item, Mapping) else [("rating", item)]
    told = ", ".join(f"{name} {value}" for name, value in pairs if value is not None)
    return texts.checked(told[:500], where="a rating")


def _list(value: Any) -> list[Any] | None:
    """A list, or a cell that holds one as JSON."""
    if isinstance(value, str):
        value = texts.json_list(value)
    return value if isinstance(value, list) else None
