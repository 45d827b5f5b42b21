"""Places for a graph's nodes: columns by distance from the model, rows so that few edges cross."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from labeling.services.lineage.graph import Graph, Node

WIDTH, HEIGHT = 188, 48
GAP_X, GAP_Y, PAD = 36, 14, 8  # five columns, a reward model's whole way back, fit the page
#: These stand in the last column, wherever their data was frozen.
LAST: Final = ("labeler", "guideline")
SWEEPS: Final = 4


@dataclass(frozen=True)
class Placed:
    node: Node
    x: int
    y: int


@dataclass(frozen=True)
class Drawing:
    """Boxes of one size, and edges as SVG paths from what was used to what was made of it."""

    boxes: list[Placed]
    paths: list[str]
    width: int
    height: int
    box_width: int = WIDTH
    box_height: int = HEIGHT


def draw(graph: Graph) -> Drawing:
    columns = _columns(graph)
    _untangle(graph, columns)
    tallest = max(len(column) for column in columns)
    height = 2 * PAD + tallest * (HEIGHT + GAP_Y) - GAP_Y
    places: dict[str, Placed] = {}
    for number, column in enumerate(columns):
        top = (height - len(column) * (HEIGHT + GAP_Y) + GAP_Y) // 2
        for row, key in enumerate(column):
            places[key] = Placed(graph.nodes[key], PAD + number * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y))
    paths = [_path(places[used], places[made]) for made, used in graph.edges]
    width = 2 * PAD + len(columns) * (WIDTH + GAP_X) - GAP_X
    return Drawing(boxes=list(places.values()), paths=paths, width=width, height=height)


def _columns(graph: Graph) -> list[list[str]]:
    """A node stands one further than the furthest that was made of it."""
    depths = dict.fromkeys(graph.nodes, 0)
    for _ in graph.nodes:
        changed = False
        for made, used in graph.edges:
            if depths[used] <= depths[made]:
                depths[used], changed = depths[made] + 1, True
        if not changed:
            break
    last = max(depths.values())
    for key, node in graph.nodes.items():
        if node.kind in LAST:
            depths[key] = last
    columns: dict[int, list[str]] = defaultdict(list)
    for key, depth in depths.items():
        columns[depth].append(key)
    return [columns[depth] for depth in sorted(columns)]


def _untangle(graph: Graph, columns: list[list[str]]) -> None:
    """Put each node at the mean height of its neighbours, from left to right and back, a few times."""
    neighbours: dict[str, list[str]] = defaultdict(list)
    for made, used in graph.edges:
        neighbours[made].append(used)
        neighbours[used].append(made)
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            rows = {key: row - len(each) / 2 for each in columns for row, key in enumerate(each)}
            column.sort(key=lambda key: _mean([rows[other] for other in neighbours[key]], rows[key]))


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _path(used: Placed, made: Placed) -> str:
    start_x, start_y = used.x, used.y + HEIGHT // 2
    end_x, end_y = made.x + WIDTH + 4, made.y + HEIGHT // 2
    bend = max(20, (start_x - end_x) // 2)
    return f"M{start_x} {start_y} C{start_x - bend} {start_y} {end_x + bend} {end_y} {end_x} {end_y}"
