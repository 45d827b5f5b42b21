"""Responses and judgements out of a file. Each record that people judged becomes one closed task with its rankings."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import F, Max
from django.db.models.functions import Now

from labeling.models import ImportBatch, Prompt, Ranking, Response, Slot, Task, TaskResponse, User
from labeling.services import responses as samples
from labeling.services.imports import ranking_rows, reasons, rows, taking
from labeling.services.imports.columns import Row
from labeling.services.imports.ranking_rows import JudgementDraft, RankingDraft
from labeling.services.imports.reasons import Refused

NOTE = "Imported; ranks from {made_from}. In which order the responses were shown is unknown: this is the file's order."
Place = tuple[int, tuple[int, int] | None]  # a task of this import: the record's line, and which two if not all
Occurrence = tuple[str, str, str, int]  # prompt's hash, model, text, the how-manieth of these


@dataclass
class NewJudgement:
    draft: RankingDraft
    judgement: JudgementDraft
    key: str

    @property
    def place(self) -> "Place":
        return self.draft.line, self.judgement.pair


@dataclass
class Known:
    """What of a batch of records the project has already."""

    prompts: dict[str, Prompt]
    responses: dict[Occurrence, Response]
    rankings: dict[str, tuple[int, list[int]]]  # idempotency key → task, ranks


class RankingImport:
    def __init__(self, batch: ImportBatch, options: rows.Options) -> None:
        self.batch = batch
        self.options = options
        self.seen: dict[str, int] = {}
        self.known = Known({}, {}, {})
        self.new: list[NewJudgement] = []
        self.planned: set[Occurrence] = set()  # responses that earlier rows of this batch will write

    def draft(self, row: Row, *, line: int) -> RankingDraft:
        return ranking_rows.ranking(row, line=line, options=self.options, max_chars=self.batch.project.max_prompt_chars)

    def sift(self, drafts: Sequence[RankingDraft]) -> tuple[list[RankingDraft], list[taking.Refusal]]:
        self.known, self.new, self.planned = self._known(drafts), [], set()
        taken, refused = [], []
        for draft in drafts:
            try:
                self._check(draft)
            except Refused as refusal:
                refused.append(taking.Refusal(draft.line, refusal.reason, refusal.detail))
            else:
                taken.append(draft)
        return taken, refused

    def write(self, drafts: Sequence[RankingDraft]) -> Counter[str]:
        """Bulk inserts only; call it after `sift`, in the same transaction."""
        taken: Counter[str] = Counter()
        prompts = taking.write_prompts(self.batch, [draft.prompt for draft in drafts], taken)
        shown = self._write_responses(drafts, prompts, taken)
        tasks = self._write_tasks(prompts, shown, taken)
        self._write_rankings(tasks, taken)
        return taken

    # --- what is here ---------------------------------------------------------------------------------------------

    def _known(self, drafts: Sequence[RankingDraft]) -> Known:
        prompts = taking.here(self.batch.project, [draft.prompt for draft in drafts])
        keys = [self._key(draft, judgement) for draft in drafts for judgement in draft.judgements]
        rankings = Ranking.objects.filter(idempotency_key__in=keys).values_list("idempotency_key", "task", "ranks")
        return Known(prompts, self._responses(prompts), {key: (task, ranks) for key, task, ranks in rankings})

    def _responses(self, prompts: dict[str, Prompt]) -> dict[Occurrence, Response]:
        hashes = {prompt.pk: content_hash for content_hash, prompt in prompts.items()}
        num: Counter[tuple[str, str, str]] = Counter()
        found: dict[Occurrence, Response] = {}
        stored = Response.objects.filter(prompt__in=hashes).select_related("model")
        for response in stored.order_by("prompt", "sample_index", "pk"):
            same = (hashes[response.prompt_id], response.model.name, response.text)
            found[*same, num[same]] = response
            num[same] += 1
        return found

    def _check(self, draft: RankingDraft) -> None:
        taking.check_split(draft.prompt, self.known.prompts.get(draft.prompt.content_hash))
        record = taking.digest(_record_key(draft), draft.prompt.dataset, repr(draft.judgements))
        if first := self.seen.get(record):
            raise Refused(reasons.TWICE_IN_FILE, f"the same as line {first}")
        self.seen[record] = draft.line
        new, occurrences = self._new_judgements(draft), _occurrences(draft)
        if not new and all(item in self.known.responses or item in self.planned for item in occurrences):
            raise Refused(reasons.ALREADY_HERE, "; ".join(set(draft.notes) & {reasons.NOTE_OTHER_JUDGEMENT}))
        self.new += new
        self.planned.update(occurrences)

    def _new_judgements(self, draft: RankingDraft) -> list[NewJudgement]:
        """Those that neither the project nor an earlier row of this batch has. What differs from those is said."""
        here = {key: ranks for key, (_, ranks) in self.known.rankings.items()}
        here |= {item.key: item.judgement.ranks for item in self.new}
        new = []
        for judgement in draft.judgements:
            key = self._key(draft, judgement)
            if key not in here:
                new.append(NewJudgement(draft, judgement, key))
            elif here[key] != judgement.ranks:
                draft.notes.append(reasons.NOTE_OTHER_JUDGEMENT)
        return new

    def _key(self, draft: RankingDraft, judgement: JudgementDraft) -> str:
        """The same record and labeler give the same key on every reading, so that nothing is judged twice."""
        return taking.digest(
            "ranking",
            self.batch.project.uid,
            draft.prompt.dataset,
            _record_key(draft),
            judgement.labeler,
            *(judgement.pair or ()),
        )

    # --- writing --------------------------------------------------------------------------------------------------

    def _write_responses(
        self, drafts: Sequence[RankingDraft], prompts: dict[str, Prompt], taken: Counter[str]
    ) -> dict[int, list[Response]]:
        """By line, the responses in the record's order: those that are here, and new ones."""
        names = {response.model for draft in drafts for response in draft.responses}
        models = taking.write_models(self.batch.project, names, taken)
        next_index = _next_indices(prompts.values())
        made: list[Response] = []
        for draft in drafts:
            prompt = prompts[draft.prompt.content_hash]
            for occurrence in _occurrences(draft):
                if occurrence not in self.known.responses:
                    model = models[occurrence[1]]
                    index = next_index[prompt.pk, model.pk]
                    next_index[prompt.pk, model.pk] += 1
                    response = _response(prompt, model.pk, occurrence, index)
                    self.known.responses[occurrence] = response
                    made.append(response)
        Response.objects.bulk_create(made, batch_size=500)
        taken["responses"] += len(made)
        return {
            draft.line: [self.known.responses[occurrence] for occurrence in _occurrences(draft)] for draft in drafts
        }

    def _write_tasks(
        self, prompts: dict[str, Prompt], shown: dict[int, list[Response]], taken: Counter[str]
    ) -> dict[Place, Task]:
        """The task that an earlier reading made of the same record, or a new one."""
        num_new = Counter(item.place for item in self.new)
        items = {item.place: item for item in self.new}
        earlier = {place: task for place, item in items.items() if (task := self._earlier_task(item))}
        for place, task in earlier.items():
            Task.objects.filter(pk=task.pk).update(num_wanted=F("num_wanted") + num_new[place])
        fresh = {place: item for place, item in items.items() if place not in earlier}
        made = Task.objects.bulk_create(
            _task(self.batch, prompts[item.draft.prompt.content_hash], item, num_new[place])
            for place, item in fresh.items()
        )
        tasks = dict(zip(fresh, made, strict=True))
        TaskResponse.objects.bulk_create(
            (
                TaskResponse(task=task, response=response, position=position)
                for place, task in tasks.items()
                for position, response in enumerate(_judged_responses(shown[place[0]], place))
            ),
            batch_size=1_000,
        )
        taken["tasks"] += len(made)
        return tasks | earlier

    def _earlier_task(self, item: NewJudgement) -> Task | None:
        alike = (other for other in item.draft.judgements if other.pair == item.judgement.pair)
        keys = (self._key(item.draft, other) for other in alike)
        task = next((self.known.rankings[key][0] for key in keys if key in self.known.rankings), None)
        return Task.objects.get(pk=task) if task else None

    def _write_rankings(self, tasks: dict[Place, Task], taken: Counter[str]) -> None:
        wanted = [(item.draft.prompt.dataset, item.judgement.labeler) for item in self.new]
        labelers = taking.write_labelers(self.batch.project, set(wanted), taken)
        people = [labelers[pair] for pair in wanted]
        slots = _write_slots([(tasks[item.place], who) for item, who in zip(self.new, people, strict=True)])
        rankings = [
            _ranking(self.batch, item, slot=slot, labeler=who)
            for item, slot, who in zip(self.new, slots, people, strict=True)
        ]
        taken["rankings"] += len(Ranking.objects.bulk_create(rankings, batch_size=500))


def _record_key(draft: RankingDraft) -> str:
    answers = json.dumps([[response.model, response.text] for response in draft.responses])
    return taking.digest(draft.prompt.content_hash, answers)


def _occurrences(draft: RankingDraft) -> list[Occurrence]:
    """A model may give the same answer twice to a prompt: the second one is a sample of its own."""
    num: Counter[tuple[str, str]] = Counter()
    found = []
    for response in draft.responses:
        same = (response.model, response.text)
        found.append((draft.prompt.content_hash, *same, num[same]))
        num[same] += 1
    return found


def _next_indices(prompts: Iterable[Prompt]) -> defaultdict[tuple[int, int], int]:
    used = Response.objects.filter(prompt__in=prompts).values("prompt", "model").annotate(last=Max("sample_index"))
    return defaultdict(int, {(row["prompt"], row["model"]): row["last"] + 1 for row in used})


def _response(prompt: Prompt, model_id: int, occurrence: Occurrence, index: int) -> Response:
    _, model, text, _ = occurrence
    is_a_name = any(not char.isalpha() for char in model)  # “human” is in many texts that give nobody away
    return Response(
        prompt=prompt,
        model_id=model_id,
        sample_index=index,
        text=text,
        num_chars=len(text),
        names_itself=samples.names_a_model(text, model=model if is_a_name else ""),
    )


def _judged_responses(responses: list[Response], place: Place) -> list[Response]:
    pair = place[1]
    return responses if pair is None else [responses[index] for index in pair]


def _task(batch: ImportBatch, prompt: Prompt, item: NewJudgement, num_wanted: int) -> Task:
    return Task(
        project=batch.project,
        kind=Task.Kind.COMPARE if item.judgement.pair else Task.Kind.RANK,
        prompt=prompt,
        num_responses=len(item.judgement.ranks),
        num_wanted=num_wanted,
        state=Task.State.CLOSED,
        is_imported=True,
    )


def _write_slots(places: Sequence[tuple[Task, User]]) -> list[Slot]:
    """One done slot per labeler, numbered after those that the task has."""
    last = Slot.objects.filter(task__in={task.pk for task, _ in places}).values("task").annotate(last=Max("number"))
    number = Counter({row["task"]: row["last"] for row in last})
    slots = []
    for task, labeler in places:
        number[task.pk] += 1
        slots.append(
            Slot(
                task=task,
                number=number[task.pk],
                project_id=task.project_id,
                kind=task.kind,
                state=Slot.State.DONE,
                holder=labeler,
                done_at=Now(),
            )
        )
    return Slot.objects.bulk_create(slots, batch_size=500)


def _ranking(batch: ImportBatch, item: NewJudgement, *, slot: Slot, labeler: User) -> Ranking:
    return Ranking(
        task_id=slot.task_id,
        slot=slot,
        labeler=labeler,
        idempotency_key=item.key,
        displayed=list(range(len(item.judgement.ranks))),
        ranks=item.judgement.ranks,
        notes=item.judgement.notes,
        note=NOTE.format(made_from=item.judgement.made_from),
        batch=batch,
    )
