"""Prompts out of a file: which are new, near to one that is here, or one too many of a customer."""

from collections import Counter
from collections.abc import Sequence

from django.db.models import Count

from labeling.models import ImportBatch, Prompt
from labeling.services.imports import reasons, rows, taking
from labeling.services.imports.columns import Row
from labeling.services.imports.duplicates import Prefixes
from labeling.services.imports.reasons import Refused


class PromptImport:
    """One reading of one file. Without `write`, it is a preview: what would be taken counts as taken."""

    def __init__(self, batch: ImportBatch, options: rows.Options) -> None:
        self.batch = batch
        self.options = options
        self.seen: dict[str, int] = {}
        self.prefixes = Prefixes(batch.project)
        self.pending: Counter[str] = Counter()  # prompts by customer that are not written yet

    def draft(self, row: Row, *, line: int) -> rows.PromptDraft:
        return rows.prompt(row, line=line, options=self.options, max_chars=self.batch.project.max_prompt_chars)

    def sift(self, drafts: Sequence[rows.PromptDraft]) -> tuple[list[rows.PromptDraft], list[taking.Refusal]]:
        here = taking.here(self.batch.project, drafts)
        if self.options.near_duplicates == "refuse":
            self.prefixes.load(draft.text for draft in drafts)
        by_customer = self._by_customer(drafts)
        taken, refused = [], []
        for draft in drafts:
            try:
                self._check(draft, is_here=draft.content_hash in here, num_written=by_customer[draft.customer])
            except Refused as refusal:
                refused.append(taking.Refusal(draft.line, refusal.reason, refusal.detail))
            else:
                self._remember(draft)
                taken.append(draft)
        return taken, refused

    def write(self, drafts: Sequence[rows.PromptDraft]) -> Counter[str]:
        taken: Counter[str] = Counter()
        taking.write_prompts(self.batch, drafts, taken)
        self.prefixes.forget_pending()
        self.pending.clear()
        return taken

    def _check(self, draft: rows.PromptDraft, *, is_here: bool, num_written: int) -> None:
        if first := self.seen.get(draft.content_hash):
            raise Refused(reasons.TWICE_IN_FILE, f"the same as line {first}")
        if is_here:
            raise Refused(reasons.ALREADY_HERE)
        if self.options.near_duplicates == "refuse" and self.prefixes.has_near(draft.text):
            raise Refused(reasons.NEAR_DUPLICATE, "begins like another prompt for 80 % of its length or more")
        cap = self.batch.project.prompts_per_customer
        if draft.customer and num_written + self.pending[draft.customer] >= cap:
            raise Refused(reasons.OVER_THE_CAP, f"{draft.customer} has {cap} already")

    def _remember(self, draft: rows.PromptDraft) -> None:
        self.seen[draft.content_hash] = draft.line
        self.prefixes.add(draft.text)
        if draft.customer:
            self.pending[draft.customer] += 1

    def _by_customer(self, drafts: Sequence[rows.PromptDraft]) -> Counter[str]:
        customers = {draft.customer for draft in drafts if draft.customer}
        if not customers:
            return Counter()
        here = Prompt.objects.filter(project=self.batch.project, customer__in=customers)
        return Counter(dict(here.values_list("customer").annotate(num=Count("pk"))))
