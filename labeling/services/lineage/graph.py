"""A model's way back as nodes and edges: model ← run ← snapshot ← rankings ← labelers and guideline versions."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from labeling.models import Guideline, Model, User
from labeling.services.lineage.back import Ancestor, Frozen, judgements_by_labeler

#: More labelers than this share one node, or the drawing would be of nothing else.
MOST_LABELERS: Final = 8


@dataclass(frozen=True)
class Node:
    """`thing` is the row whose page the node leads to, if it has one."""

    key: str
    kind: str
    label: str
    note: str = ""
    thing: Any = None


@dataclass
class Graph:
    """`edges` go from what was made to what it was made of."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, node: Node, *, made: str | None = None) -> str:
        self.nodes.setdefault(node.key, node)
        if made is not None and (made, node.key) not in self.edges:
            self.edges.append((made, node.key))
        return node.key


def graph_of(ancestors: list[Ancestor], *, with_names: bool) -> Graph:
    """Without names, labelers are a number: reviewers rank blind, and see the models of what they ranked."""
    graph = Graph()
    for ancestor in ancestors:
        _add(graph, ancestor)
    held = {f"judgements:{frozen.snapshot.pk}": frozen for frozen in _distinct(ancestors) if frozen.num_judgements}
    _add_labelers(graph, held, with_names=with_names)
    _add_guidelines(graph, held)
    return graph


def _add(graph: Graph, ancestor: Ancestor) -> None:
    place = graph.add(_model(ancestor.model))
    if ancestor.run:
        run = ancestor.run
        place = graph.add(Node(f"run:{run.pk}", "run", run.name, f"{run.get_stage_display()} run", run), made=place)
    if ancestor.brought:
        graph.add(Node(f"source:{ancestor.model.pk}", "source", ancestor.brought, "brought from"), made=place)
    for parent in ancestor.models:
        graph.add(_model(parent), made=place)
    for frozen in ancestor.data:
        snapshot = frozen.snapshot
        rows = f"{snapshot.num_rows:,} rows frozen"
        node = Node(f"snapshot:{snapshot.pk}", "snapshot", snapshot.name, rows, snapshot)
        held = graph.add(node, made=place)
        if frozen.num_judgements:
            what = f"{frozen.num_judgements:,} {frozen.what}{'s' if frozen.num_judgements != 1 else ''}"
            thing = snapshot if frozen.what == "ranking" else None
            graph.add(Node(f"judgements:{snapshot.pk}", "judgements", what, "people's judgements", thing), made=held)


def _model(model: Model) -> Node:
    note = model.get_kind_display() + (", current" if model.is_current else "")
    return Node(f"model:{model.pk}", "model", model.name, note, model)


def _add_labelers(graph: Graph, held: dict[str, Frozen], *, with_names: bool) -> None:
    total = judgements_by_labeler(held.values())
    named = dict(total.most_common(MOST_LABELERS)) if with_names else {}
    people = User.objects.in_bulk(list(named))
    for place, frozen in held.items():
        for labeler in sorted(frozen.by_labeler, key=lambda pk: -total[pk]):
            if labeler in people:
                person = people[labeler]
                note = f"{total[labeler]:,} judgement{'s' if total[labeler] != 1 else ''}"
                graph.add(Node(f"labeler:{person.pk}", "labeler", str(person), note, person), made=place)
        if len(total) > len(named) and set(frozen.by_labeler) - set(named):
            num = len(total) - len(named)
            label = f"{num} {'more ' if named else ''}labeler{'s' if num != 1 else ''}"
            graph.add(Node("labelers", "labeler", label, "people who judged"), made=place)


def _add_guidelines(graph: Graph, held: dict[str, Frozen]) -> None:
    projects = {frozen.snapshot.project_id for frozen in held.values()}
    known = {guideline.version: guideline for guideline in Guideline.objects.filter(project__in=projects).defer("text")}
    for place, frozen in held.items():
        for version in frozen.guideline_versions:
            label = f"Guidelines, version {version}"
            graph.add(Node(f"guideline:{version}", "guideline", label, "followed", known.get(version)), made=place)


def _distinct(ancestors: Iterable[Ancestor]) -> Iterable[Frozen]:
    found = {frozen.snapshot.pk: frozen for ancestor in ancestors for frozen in ancestor.data}
    return found.values()
