"""The drawing of a model's way back: boxes that are links, where this person may follow them.

{% lineage_graph drawing %}
"""

from typing import Any

from django import template
from django.template.context import RequestContext
from django.urls import reverse

from labeling.services.lineage import Drawing, Node

register = template.Library()
MOST_CHARS, MOST_NOTE_CHARS = 22, 26
#: Kind of node → name of its address; for managers alone where a reviewer may not read it.
OPEN = {"model": "model", "run": "run"}
MANAGERS = {"snapshot": "snapshot", "labeler": "person"}


@register.inclusion_tag("models/parts/graph.html", takes_context=True)
def lineage_graph(context: RequestContext, drawing: Drawing) -> dict[str, Any]:
    slug, is_manager = context["project"].slug, context["is_manager"]
    boxes = [
        {
            "box": box,
            "label": _cut(box.node.label, MOST_CHARS),
            "note": _cut(box.node.note, MOST_NOTE_CHARS),
            "address": _address(box.node, slug, is_manager=is_manager),
        }
        for box in drawing.boxes
    ]
    return {"drawing": drawing, "boxes": boxes}


def _address(node: Node, slug: str, *, is_manager: bool) -> str:
    if node.thing is None:
        return ""
    if node.kind == "guideline":
        return reverse("guideline", args=[slug, node.thing.version])
    if node.kind == "judgements":
        return f"{reverse('rankings', args=[slug])}?snapshot={node.thing.uid}&state=all" if is_manager else ""
    name = OPEN.get(node.kind) or (MANAGERS.get(node.kind) if is_manager else "")
    return reverse(name, args=[slug, node.thing.uid]) if name else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
