"""What the three kinds of import share: the rows of prompts, external models and imported labelers."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password

from labeling.models import ImportBatch, Model, Project, Prompt, PromptSource, Split, User
from labeling.services import prompts
from labeling.services.imports import reasons
from labeling.services.imports.reasons import Refused
from labeling.services.imports.rows import PromptDraft


@dataclass(frozen=True)
class Refusal:
    line: int
    reason: str
    detail: str = ""


def digest(*parts: object) -> str:
    """One hash of several texts; their lengths keep ("a", "bc") and ("ab", "c") apart."""
    told = "".join(f"{len(str(part))}:{part}" for part in parts)
    return hashlib.sha256(told.encode()).hexdigest()


def here(project: Project, drafts: Iterable[PromptDraft]) -> dict[str, Prompt]:
    """The prompts among these that the project has, by hash."""
    found = Prompt.objects.filter(project=project, content_hash__in={draft.content_hash for draft in drafts})
    return {prompt.content_hash: prompt for prompt in found.only("pk", "content_hash", "split")}


def check_split(draft: PromptDraft, prompt: Prompt | None) -> None:
    if draft.is_only_for_evaluation and prompt is not None and prompt.split == Split.TRAIN:
        raise Refused(reasons.ONLY_FOR_EVALUATION)


def write_prompts(batch: ImportBatch, drafts: Sequence[PromptDraft], taken: Counter[str]) -> dict[str, Prompt]:
    """Each draft's prompt by hash: the project's own where it has it, a new one otherwise."""
    found = here(batch.project, drafts)
    missing = {draft.content_hash: draft for draft in drafts if draft.content_hash not in found}
    made = Prompt.objects.bulk_create((_prompt(batch, draft) for draft in missing.values()), batch_size=500)
    taken["prompts"] += len(made)
    return found | {prompt.content_hash: prompt for prompt in made}


def _prompt(batch: ImportBatch, draft: PromptDraft) -> Prompt:
    return prompts.build(
        project=batch.project,
        messages=draft.messages,
        split=draft.split,
        use_case=draft.use_case,
        category=draft.category,
        language=draft.language,
        source=PromptSource.CUSTOMER if draft.customer else PromptSource.IMPORT,
        dataset=draft.dataset,
        external_id=draft.external_id,
        customer=draft.customer,
        personal_data=draft.personal_data,
        batch=batch,
    )


def write_models(project: Project, names: Iterable[str], taken: Counter[str]) -> dict[str, Model]:
    """External models by name. A name that a model with weights has here is followed by “(imported)”."""
    wanted = set(names)
    foreign = set(
        Model.objects.filter(project=project, name__in=wanted)
        .exclude(kind=Model.Kind.EXTERNAL)
        .values_list("name", flat=True)
    )
    stored = {name: f"{name} (imported)" if name in foreign else name for name in wanted}
    found = {model.name: model for model in Model.objects.filter(project=project, name__in=stored.values())}
    missing = [name for name in stored.values() if name not in found]
    made = Model.objects.bulk_create(Model(project=project, name=name, kind=Model.Kind.EXTERNAL) for name in missing)
    taken["models"] += len(made)
    found |= {model.name: model for model in made}
    return {name: found[stored[name]] for name in wanted}


def address(project: Project, dataset: str, name: str) -> str:
    """The e-mail address that stands for a labeler of a data set in this project; `.invalid` never receives mail."""
    return f"{digest(project.uid, dataset, name)[:32]}@imported.invalid"


def write_labelers(
    project: Project, wanted: Iterable[tuple[str, str]], taken: Counter[str]
) -> dict[tuple[str, str], User]:
    """People of (data set, name) who cannot log in: one each per project, so that two files' “rater1” stay two."""
    addresses = {pair: address(project, *pair) for pair in wanted}
    existing = set(User.objects.filter(email__in=addresses.values()).values_list("email", flat=True))
    missing = {pair: email for pair, email in addresses.items() if email not in existing}
    User.objects.bulk_create(_labeler(email, *pair) for pair, email in missing.items())
    taken["labelers"] += len(missing)
    found = {user.email: user for user in User.objects.filter(email__in=addresses.values())}
    return {pair: found[email] for pair, email in addresses.items()}


def _labeler(email: str, dataset: str, name: str) -> User:
    shown = f"{name} · {dataset}" if dataset else name
    return User(email=email, name=shown[:120], password=make_password(None), is_active=False, is_imported=True)
