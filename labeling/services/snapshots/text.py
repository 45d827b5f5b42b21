"""Plain text for the pretraining stream of PPO-ptx: the text that Podium ships, or a file that was uploaded."""

import hashlib
from collections.abc import Iterator

from django.conf import settings
from django.core.files.storage import storages

from labeling.models import Snapshot
from labeling.services.snapshots.rows import Plan
from training.contract.records import TextRow

SHIPPED = settings.BASE_DIR / "training" / "recipes" / "tiny_text.txt"
MAX_PIECE = 4000  # characters


def plan(snapshot: Snapshot) -> Plan:
    """Pieces are cut at empty lines; each goes to a split by the hash of its content."""
    name, text = _read(snapshot)
    pieces = list(_pieces(text))
    return Plan(ids=list(range(len(pieces))), stream=lambda: (_row(piece, name) for piece in pieces))


def _read(snapshot: Snapshot) -> tuple[str, str]:
    if key := snapshot.filters.get("text_key"):
        with storages["default"].open(key, "rb") as file:
            return "upload", file.read().decode("utf-8")
    return "shipped", SHIPPED.read_text(encoding="utf-8")


def _pieces(text: str) -> Iterator[str]:
    piece = ""
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        if piece and len(piece) + len(paragraph) > MAX_PIECE:
            yield piece
            piece = ""
        piece = f"{piece}\n\n{paragraph}".strip()
    if piece:
        yield piece


def _row(piece: str, source: str) -> TextRow:
    is_valid = int(hashlib.sha256(piece.encode()).hexdigest()[:8], 16) % 20 == 0
    return TextRow(text=piece, split="valid" if is_valid else "train", source=source)
