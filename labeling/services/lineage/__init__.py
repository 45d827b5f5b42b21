"""Where a model comes from, and what came of data.

back      from a model to its runs, snapshots, judgements, labelers and guideline versions
forward   from a snapshot, a ranking or a guideline version to the runs and models made from it
graph     the way back as nodes and edges
layout    places for them on a drawing
"""

from labeling.services.lineage.back import Ancestor, Frozen, judgements_by_labeler, of
from labeling.services.lineage.forward import (
    Made,
    from_guideline,
    from_labeler,
    from_ranking,
    from_snapshot,
    models_from,
    runs_on,
)
from labeling.services.lineage.graph import Graph, Node, graph_of
from labeling.services.lineage.layout import Drawing, draw

__all__ = [
    "Ancestor",
    "Drawing",
    "Frozen",
    "Graph",
    "Made",
    "Node",
    "draw",
    "from_guideline",
    "from_labeler",
    "from_ranking",
    "from_snapshot",
    "graph_of",
    "judgements_by_labeler",
    "models_from",
    "of",
    "runs_on",
]
