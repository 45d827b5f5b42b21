"""A model as one zip file, written while it is read: no copy on disk, however large the model is."""

import zipfile
from collections.abc import Iterator
from functools import partial

from labeling.models import Model
from labeling.services import artifacts, model_card
from training.contract.modelfiles import why_refused

PIECE = 1 << 20
CARD = "README.md"


def stream(model: Model) -> Iterator[bytes]:
    """The zip's bytes: the model's files, and its card as README.md. Nothing is compressed: weights do not shrink."""
    out = _Sink()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in names(model):
            with artifacts.storage().open(f"{model.storage_key}/{name}", "rb") as source:
                yield from _member(archive, out, name, iter(partial(source.read, PIECE), b""))
        yield from _member(archive, out, CARD, iter([model_card.write(model).encode()]))
    yield out.taken()


def names(model: Model) -> list[str]:
    """Files of the archive, without the card. A card that came with an imported model is kept beside ours."""
    return [name for name in artifacts.names(model.storage_key) if name != CARD and not why_refused(name)]


def _member(archive: zipfile.ZipFile, out: "_Sink", name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
        for piece in pieces:
            member.write(piece)
            yield out.taken()
    yield out.taken()


class _Sink:
    """A file that cannot be sought in; what was written to it is taken from it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """It stays open: what was written last is still to be taken."""

    def taken(self) -> bytes:
        found, self._pieces = b"".join(self._pieces), []
        return found
