"""A project with one person per role, ready for any test of the web side."""

from dataclasses import dataclass
from typing import Any

import pytest

from labeling.models import Guideline, Membership, Model, Project, Prompt, Response, Role, User


@dataclass
class People:
    project: Project
    manager: User
    reviewer: User
    labeler: User
    labeler2: User
    stranger: User


@pytest.fixture
def people(db: Any) -> People:
    """A project with a manager, a reviewer and two labelers; a stranger is in another project."""
    project = Project.objects.create(slug="tea", name="Tea")
    other = Project.objects.create(slug="coffee", name="Coffee")
    Guideline.objects.create(project=project, version=1, text="Be kind.")

    def person(name: str, role: Role, where: Project = project) -> User:
        user = User.objects.create_user(f"{name}@example.org", "a long password", name=name.title())
        Membership.objects.create(project=where, user=user, role=role)
        return user

    return People(
        project=project,
        manager=person("mira", Role.MANAGER),
        reviewer=person("rosa", Role.REVIEWER),
        labeler=person("lena", Role.LABELER),
        labeler2=person("luis", Role.LABELER),
        stranger=person("sam", Role.MANAGER, other),
    )


@pytest.fixture
def make_prompt(people: People) -> Any:
    """`make_prompt("text", k=4)` → a prompt with k responses of an external model."""
    import hashlib

    def make(text: str = "Why is the sky blue?", k: int = 4, **fields: Any) -> Prompt:
        messages = [{"role": "user", "content": text}]
        fields.setdefault("split", "train")
        prompt = Prompt.objects.create(
            project=people.project,
            messages=messages,
            content_hash=hashlib.sha256(text.encode()).hexdigest(),
            text=text,
            num_chars=len(text),
            **fields,
        )
        model, _ = Model.objects.get_or_create(project=people.project, name="other-lab", kind="external")
        for index in range(k):
            answer = f"Answer {index} to {text}"
            Response.objects.create(prompt=prompt, model=model, sample_index=index, text=answer, num_chars=len(answer))
        return prompt

    return make
