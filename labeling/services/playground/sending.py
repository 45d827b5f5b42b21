"""From the playground into the project: answers to be ranked, or one as a demonstration. Sent twice, it is one."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max

from labeling.models import (
    MAX_RESPONSES_FOR_PEOPLE,
    Demonstration,
    PlaygroundReply,
    PlaygroundTurn,
    Prompt,
    PromptSource,
    Response,
    Task,
    UseCase,
    User,
)
from labeling.services import demonstrations, kinds_of_prompt, prompts, responses, tasks
from labeling.services.answers import AnswerError
from labeling.services.conversations import Conversation, Messages

USABLE = (PlaygroundReply.State.DONE, PlaygroundReply.State.STOPPED)


class SendError(Exception):
    """Why it cannot be sent; the text is for the person."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a prompt that is new to the project is said to be. An empty language is guessed by script."""

    use_case: str = UseCase.CHAT
    language: str = ""


def proposed(turn: PlaygroundTurn) -> list[PlaygroundReply]:
    """Answers of one thread that can be ranked with each other: of those of A and of B the more, when they differ."""
    conversation = Conversation(turn.session)
    usable = [reply for reply in turn.replies.filter(state__in=USABLE) if reply.text.strip()]
    if not conversation.has_one_thread(turn):
        usable = max(([reply for reply in usable if reply.side == side] for side in (0, 1)), key=len)
    once = {reply.text: reply for reply in reversed(usable)}
    return [reply for reply in usable if reply in once.values()][:MAX_RESPONSES_FOR_PEOPLE]


@transaction.atomic
def to_ranking(
    *, turn: PlaygroundTurn, replies: Sequence[PlaygroundReply], num_wanted: int, kind: Kind, user: User
) -> tuple[Task, bool]:
    """A ranking task of these answers to their conversation, and whether it is new."""
    session = turn.session
    _check(replies, turn)
    conversation = Conversation(session)
    threads = [conversation.messages(turn, side) for side in {reply.side for reply in replies}]
    if any(thread != threads[0] for thread in threads):
        raise SendError(
            "A and B were asked different things, because each went on from its own answers. Choose answers of one of"
            " them, or let both go on from one in the next turn."
        )
    prompt = _prompt(turn, threads[0], kind=kind, user=user)
    tasks.one_at_a_time(session.project)
    try:
        task, is_new = tasks.make_ranking_task(
            project=session.project,
            prompt=prompt,
            responses=[_response(prompt, reply) for reply in replies],
            num_wanted=num_wanted,
            user=user,
        )
    except tasks.TaskError as error:
        raise SendError(str(error)) from None
    PlaygroundTurn.objects.filter(pk=turn.pk).update(task=task)
    return task, is_new


@transaction.atomic
def as_demonstration(
    *, reply: PlaygroundReply, text: str, kind: Kind, user: User, idempotency_key: str
) -> Demonstration:
    """The conversation as a prompt, and this text as a demonstration of this person's."""
    _check([reply], reply.turn)
    text = responses.storable(text.replace("\r\n", "\n"))
    conversation = Conversation(reply.turn.session)
    prompt = _prompt(reply.turn, conversation.messages(reply.turn, reply.side), kind=kind, user=user)
    try:
        demonstration = demonstrations.add(prompt=prompt, author=user, idempotency_key=idempotency_key, text=text)
    except (AnswerError, demonstrations.AlreadyWritten) as error:
        raise SendError(" ".join(error.errors.values()) if isinstance(error, AnswerError) else str(error)) from None
    PlaygroundReply.objects.filter(pk=reply.pk).update(demonstration=demonstration)
    return demonstration


def _check(replies: Sequence[PlaygroundReply], turn: PlaygroundTurn) -> None:
    if any(reply.turn_id != turn.pk or reply.state not in USABLE for reply in replies):
        raise SendError("Wait for the answers first.")
    if not all(reply.text.strip() for reply in replies):
        raise SendError("An empty answer cannot be sent.")


def _prompt(turn: PlaygroundTurn, messages: Messages, *, kind: Kind, user: User) -> Prompt:
    """The project's own prompt when it has it already; else a new one of this person's."""
    project = turn.session.project
    prompts.lock(project)
    known = Prompt.objects.filter(project=project, content_hash=prompts.content_hash(messages)).first()
    if known:
        return known
    try:
        return prompts.add(
            project=project,
            messages=messages,
            author=user,
            source=PromptSource.LABELER,
            split=prompts.split_of_author(user),
            use_case=kind.use_case,
            language=kind.language or kinds_of_prompt.language_by_script(turn.text),
        )
    except prompts.PromptError as error:
        raise SendError(str(error)) from None


def _response(prompt: Prompt, reply: PlaygroundReply) -> Response:
    """The answer as a response of its model; what the model has said to this prompt before is not said twice."""
    same = Response.objects.filter(prompt=prompt, model=reply.model, text=reply.text).first()
    response = same or _new_response(prompt, reply)
    PlaygroundReply.objects.filter(pk=reply.pk).update(response=response)
    return response


def _new_response(prompt: Prompt, reply: PlaygroundReply) -> Response:
    last = Response.objects.filter(prompt=prompt, model=reply.model).aggregate(last=Max("sample_index"))["last"]
    return Response.objects.create(
        prompt=prompt,
        model=reply.model,
        sample_index=0 if last is None else last + 1,
        text=reply.text,
        finish_reason=reply.finish_reason,
        run=reply.run,
        names_itself=responses.names_a_model(reply.text, model=reply.model.name),
        num_chars=len(reply.text),
    )
