"""Demonstrations out of a file: a prompt may have several, each by another writer."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import count

from labeling.models import Demonstration, ImportBatch, Prompt
from labeling.services.imports import demonstration_rows, reasons, rows, taking
from labeling.services.imports.columns import Row
from labeling.services.imports.demonstration_rows import DemonstrationDraft
from labeling.services.imports.reasons import Refused


class DemonstrationImport:
    def __init__(self, batch: ImportBatch, options: rows.Options) -> None:
        self.batch = batch
        self.options = options
        self.seen: dict[str, int] = {}
        self.prompts: dict[str, Prompt] = {}
        self.keys: set[str] = set()
        self.writers: dict[str, set[str]] = defaultdict(set)  # by prompt's hash: addresses of who wrote one

    def draft(self, row: Row, *, line: int) -> DemonstrationDraft:
        max_chars = self.batch.project.max_prompt_chars
        return demonstration_rows.demonstration(row, line=line, options=self.options, max_chars=max_chars)

    def sift(self, drafts: Sequence[DemonstrationDraft]) -> tuple[list[DemonstrationDraft], list[taking.Refusal]]:
        self._load(drafts)
        taken, refused = [], []
        for draft in drafts:
            try:
                self._check(draft)
            except Refused as refusal:
                refused.append(taking.Refusal(draft.line, refusal.reason, refusal.detail))
            else:
                taken.append(draft)
        return taken, refused

    def write(self, drafts: Sequence[DemonstrationDraft]) -> Counter[str]:
        taken: Counter[str] = Counter()
        prompts = taking.write_prompts(self.batch, [draft.prompt for draft in drafts], taken)
        labelers = taking.write_labelers(
            self.batch.project, {(draft.prompt.dataset, draft.writer) for draft in drafts}, taken
        )
        made = [
            Demonstration(
                prompt=prompts[draft.prompt.content_hash],
                labeler=labelers[draft.prompt.dataset, draft.writer],
                idempotency_key=self._key(draft),
                text=draft.text,
                batch=self.batch,
            )
            for draft in drafts
        ]
        taken["demonstrations"] += len(Demonstration.objects.bulk_create(made, batch_size=500))
        return taken

    def _load(self, drafts: Sequence[DemonstrationDraft]) -> None:
        self.prompts = taking.here(self.batch.project, [draft.prompt for draft in drafts])
        keys = [self._key(draft) for draft in drafts]
        self.keys = set(
            Demonstration.objects.filter(idempotency_key__in=keys).values_list("idempotency_key", flat=True)
        )
        written = Demonstration.objects.filter(prompt__in=self.prompts.values(), revision=1)
        for content_hash, email in written.values_list("prompt__content_hash", "labeler__email"):
            self.writers[content_hash].add(email)

    def _check(self, draft: DemonstrationDraft) -> None:
        taking.check_split(draft.prompt, self.prompts.get(draft.prompt.content_hash))
        key = self._key(draft)
        if first := self.seen.get(key):
            raise Refused(reasons.TWICE_IN_FILE, f"the same as line {first}")
        self.seen[key] = draft.line
        if key in self.keys:
            raise Refused(reasons.ALREADY_HERE)
        writers = self.writers[draft.prompt.content_hash]
        if draft.writer and self._address(draft, draft.writer) in writers:
            raise Refused(reasons.ANOTHER_BY_SAME_WRITER, draft.writer)
        draft.writer = draft.writer or self._unnamed(draft)
        writers.add(self._address(draft, draft.writer))

    def _key(self, draft: DemonstrationDraft) -> str:
        """Of the text, not of who wrote it: a writer without a name gets a number, which depends on the order."""
        project = self.batch.project
        return taking.digest("demonstration", project.uid, draft.prompt.dataset, draft.prompt.content_hash, draft.text)

    def _unnamed(self, draft: DemonstrationDraft) -> str:
        taken = self.writers[draft.prompt.content_hash]
        names = (f"unnamed writer {number}" for number in count(1))
        return next(name for name in names if self._address(draft, name) not in taken)

    def _address(self, draft: DemonstrationDraft, writer: str) -> str:
        return taking.address(self.batch.project, draft.prompt.dataset, writer)
