"""What goes in and out of the labeling API. Every field is named here; nothing else passes.

Letters are the only names that responses have: A is the first card of the sheet.
"""

from typing import Any

from rest_framework import serializers

from labeling.models import Skip, Task
from labeling.services import answers, assignments
from labeling.services.answers import LETTERS, Answer, AnswerError
from labeling.services.sheets import Sheet
from labeling.services.writing import MAX_CHARS


class NextSerializer(serializers.Serializer[Any]):
    kinds = serializers.MultipleChoiceField(
        choices=[str(kind) for kind in assignments.SERVED_KINDS], required=False, help_text="Default: all."
    )
    besides = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        max_length=20,
        help_text="Tasks that you have at hand already: the one on the screen and those fetched ahead.",
    )
    with_sheet = serializers.BooleanField(
        default=True, help_text="False: only where the task's page is, for a client that reads the page."
    )
    ahead = serializers.BooleanField(
        default=False,
        help_text="True: instead of one task all that you hold, topped up to as many as you may hold ahead, in `held`. "
        "`besides` then names those whose answers are on their way.",
    )


class MessageSerializer(serializers.Serializer[Any]):
    role = serializers.CharField()
    html = serializers.CharField(help_text="Safe HTML.")


class CardSerializer(serializers.Serializer[Any]):
    letter = serializers.CharField()
    html = serializers.CharField(help_text="Safe HTML.")


class BriefSerializer(serializers.Serializer[Any]):
    style = serializers.CharField(help_text="“plain”, “few_shot” or “user_based”.")  # type: ignore[assignment]
    use_case = serializers.CharField(help_text="Empty: the writer chooses.")
    language = serializers.CharField(help_text="Empty: the writer chooses.")
    text = serializers.CharField()


class SheetSerializer(serializers.Serializer[Sheet]):
    """A task as the labeler sees it."""

    task = serializers.UUIDField(source="task.uid")
    kind = serializers.ChoiceField(source="task.kind", choices=Task.Kind.choices)
    rate_first = serializers.BooleanField(source="task.rate_first")
    use_case = serializers.CharField(source="task.prompt.use_case", default="")
    language = serializers.CharField(source="task.prompt.language", default="")
    prompt = MessageSerializer(source="messages", many=True)
    cards = CardSerializer(many=True)
    flags = serializers.ListField(child=serializers.CharField())
    labels = serializers.ListField(child=serializers.CharField(), help_text="What is asked of a prompt to annotate.")
    brief = BriefSerializer(allow_null=True, help_text="What kind of prompt to write.")
    guideline_version = serializers.IntegerField(source="guideline.version", default=None, allow_null=True)
    draft = serializers.JSONField()
    draft_version = serializers.IntegerField()
    num_today = serializers.IntegerField()


def write_sheet(sheet: Sheet) -> dict[str, Any]:
    """What SheetSerializer writes, by hand: it goes out with every task. A test holds the two together."""
    task, prompt = sheet.task, sheet.task.prompt
    return {
        "task": str(task.uid),
        "kind": str(task.kind),
        "rate_first": task.rate_first,
        "use_case": prompt.use_case if prompt else "",
        "language": prompt.language if prompt else "",
        "prompt": [{"role": message.role, "html": message.html} for message in sheet.messages],
        "cards": [{"letter": card.letter, "html": card.html} for card in sheet.cards],
        "flags": sheet.flags,
        "labels": sheet.labels,
        "brief": BriefSerializer(sheet.brief).data if sheet.brief else None,
        "guideline_version": sheet.guideline.version if sheet.guideline else None,
        "draft": sheet.draft,
        "draft_version": sheet.draft_version,
        "num_today": sheet.num_today,
    }


class NothingSerializer(serializers.Serializer[Any]):
    why = serializers.CharField(
        help_text="“guidelines”: read them first. “qualification”: not passed yet. Empty: there is just nothing."
    )
    num_held = serializers.IntegerField(help_text="Tasks that would do but are with other labelers now.")
    back_at = serializers.DateTimeField(allow_null=True, help_text="When the first of them comes back if not finished.")
    holds_enough = serializers.BooleanField(help_text="You hold as many tasks ahead as you may.")


class HeldSerializer(serializers.Serializer[Any]):
    task = serializers.UUIDField()
    url = serializers.CharField(help_text="The task's page.")
    lease_until = serializers.DateTimeField()


class NextResponseSerializer(serializers.Serializer[Any]):
    """Only what applies is not null: a task, or why there is none, or (asked `ahead`) those you hold."""

    sheet = SheetSerializer(allow_null=True)
    task = serializers.UUIDField(allow_null=True)
    url = serializers.CharField(allow_null=True, help_text="The task's page.")
    lease_until = serializers.DateTimeField(allow_null=True)
    nothing = NothingSerializer(allow_null=True)
    held = HeldSerializer(many=True, allow_null=True, help_text="Longest held first.")


class DraftSerializer(serializers.Serializer[Any]):
    payload = serializers.DictField(help_text="What the page has so far; it comes back as it was.")
    version = serializers.IntegerField(min_value=0, help_text="Grows with each save; an older one never overwrites.")
    saved_at = serializers.DateTimeField(read_only=True, allow_null=True)


class DraftSavedSerializer(serializers.Serializer[Any]):
    is_saved = serializers.BooleanField(help_text="False: a newer draft is kept already.")
    version = serializers.IntegerField()
    saved_at = serializers.DateTimeField()


class LetteredIntegers(serializers.DictField):
    child = serializers.IntegerField(allow_null=True)


class LetteredFlags(serializers.DictField):
    child = serializers.ListField(child=serializers.CharField(max_length=200), max_length=50)


class LetteredNotes(serializers.DictField):
    child = serializers.CharField(allow_blank=True, max_length=answers.MAX_NOTE_CHARS, trim_whitespace=False)


class SubmissionSerializer(serializers.Serializer[Any]):
    idempotency_key = serializers.CharField(max_length=64, help_text="The same key twice is one submission.")
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=answers.MAX_NOTE_CHARS)
    guideline_version = serializers.IntegerField(required=False, allow_null=True, default=None)
    active_seconds = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=0, max_value=answers.MAX_ACTIVE_SECONDS
    )
    client_time = serializers.DateTimeField(required=False, allow_null=True, default=None)
    next = NextSerializer(required=False, allow_null=True, default=None, help_text="Ask for the next task with it.")


class RankingAnswerSerializer(SubmissionSerializer):
    outcome = serializers.CharField(default=answers.RANKED, help_text="“ranked” or “none_acceptable”.")
    ranks = LetteredIntegers(required=False, default=dict, help_text='{"A": 2, "B": 1}: 1 is best, equal is a tie.')
    ratings = LetteredIntegers(required=False, default=dict, help_text="1 to 7 by letter.")
    flags = LetteredFlags(required=False, default=dict)
    notes = LetteredNotes(required=False, default=dict)


def to_answer(data: dict[str, Any], task: Task) -> Answer:
    """What a RankingAnswerSerializer has read, without its key, by the places of this task's cards."""
    letters = LETTERS[: task.num_responses]
    if unknown := {*data["ranks"], *data["ratings"]} - set(letters):
        raise AnswerError({place: f"There is no card {place}." for place in sorted(unknown)})
    ranks, ratings = data.pop("ranks"), data.pop("ratings")
    return Answer(
        ranks=[ranks.get(letter) for letter in letters],
        ratings=[ratings.get(letter) for letter in letters] if ratings or task.rate_first else [],
        **data,
    )


class DemonstrationAnswerSerializer(SubmissionSerializer):
    text = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=200_000)


class PairSerializer(serializers.Serializer[Any]):
    query = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=MAX_CHARS)
    response = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=MAX_CHARS)


class WritingSerializer(serializers.Serializer[Any]):
    instruction = serializers.CharField(
        allow_blank=True, trim_whitespace=False, max_length=MAX_CHARS, help_text="The prompt, or its instruction."
    )
    pairs = PairSerializer(many=True, required=False, default=list, help_text="Few-shot: the examples.")
    query = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False, max_length=MAX_CHARS
    )


class WrittenPromptSerializer(SubmissionSerializer, WritingSerializer):
    use_case = serializers.CharField(required=False, allow_blank=True, default="", max_length=16)
    language = serializers.CharField(required=False, allow_blank=True, default="", max_length=16)


class HintsSerializer(serializers.Serializer[Any]):
    hints = serializers.ListField(
        child=serializers.CharField(), help_text="To look at before it is sent. None stops it."
    )


class AnnotationAnswerSerializer(SubmissionSerializer):
    labels = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, default=list, max_length=100
    )
    is_none = serializers.BooleanField(default=False, help_text="None of the labels holds: it must be said.")


class SubmittedSerializer(serializers.Serializer[Any]):
    uid = serializers.UUIDField()
    revision = serializers.IntegerField()
    is_surplus = serializers.BooleanField(help_text="Kept, but all judgements wanted were in already.")
    next = NextResponseSerializer(allow_null=True, help_text="What `next` asked for; null where it did not.")


class SkipSerializer(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=Skip.Reason.choices)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class ReleasedSerializer(serializers.Serializer[Any]):
    is_released = serializers.BooleanField(help_text="False: it was not held.")


class LeaseSerializer(serializers.Serializer[Any]):
    lease_until = serializers.DateTimeField(
        allow_null=True, help_text="Null: the place went to somebody else; what you send is kept as an extra."
    )


class PreviewSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=200_000)


class PreviewedSerializer(serializers.Serializer[Any]):
    html = serializers.CharField(help_text="Safe HTML.")


class ErrorSerializer(serializers.Serializer[Any]):
    """`errors` names each place ("C", "ranks", …) and what is wrong there."""

    detail = serializers.CharField()
    errors = serializers.DictField(child=serializers.CharField(), required=False)  # type: ignore[assignment]
