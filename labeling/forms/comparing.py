"""A comparison's form: one verdict on two responses, read into the shape of every ranking."""

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from labeling.forms.work import read_ranking
from labeling.services.answers import NONE_ACCEPTABLE, AnswerError

# Value of the form → what it says, the action whose key says it, and the ranks of A and B; None: both are bad.
VERDICTS = (
    ("left", "Left is better", "left", {"A": 1, "B": 2}),
    ("tie", "Tie", "tie", {"A": 1, "B": 1}),
    ("right", "Right is better", "right", {"A": 2, "B": 1}),
    ("both_bad", "Both are bad", "none", None),
)
MISSING = "Say which is better, that they tie, or that both are bad."


def read(post: QueryDict) -> dict[str, Any]:
    """As a ranking's draft; without a verdict, without ranks."""
    payload = read_ranking(post, 2)
    verdict = next((entry for entry in VERDICTS if entry[0] == post.get("verdict")), None)
    if verdict is not None:
        payload["ranks"] = dict(verdict[3] or {})
        payload["outcome"] = NONE_ACCEPTABLE if verdict[3] is None else payload["outcome"]
    return payload


def verdict_of(payload: Mapping[str, Any]) -> str:
    """The verdict that a draft or a ranking comes to; "" for none."""
    ranks = payload.get("ranks")
    if isinstance(ranks, dict) and ranks:
        return next((value for value, _, _, given in VERDICTS if given == ranks), "")
    return "both_bad" if payload.get("outcome") == NONE_ACCEPTABLE else ""


def check(payload: Mapping[str, Any]) -> None:
    if not verdict_of(payload):
        raise AnswerError({"verdict": MISSING})
