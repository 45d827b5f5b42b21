"""Django's storages in an S3-compatible bucket (the extra `s3`). What goes wrong is an OSError, as with a disk."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files import File
from storages.backends.s3 import S3Storage

MEMORY_BYTES = 8_000_000  # of an upload that is read; what is larger lies in a temporary file meanwhile


class Uploads(S3Storage):  # type: ignore[misc]
    """For files that are read in any order, e.g. a table that is imported: one is fetched whole when it is read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_memory_size": MEMORY_BYTES, "client_config": _client(options), **options})

    @property
    def bucket(self) -> Any:
        """One for each thread: boto3's may not be shared."""
        return self.connection.Bucket(self.bucket_name)

    def _open(self, name: str, mode: str = "rb") -> Any:
        with _os_errors(name):
            return super()._open(name, mode)

    def _save(self, name: str, content: Any) -> Any:
        with _os_errors(name):
            return super()._save(name, content)

    def exists(self, name: str) -> bool:
        with _os_errors(name):
            return bool(super().exists(name))

    def delete(self, name: str) -> None:
        with _os_errors(name):
            super().delete(name)

    def listdir(self, name: str) -> Any:
        with _os_errors(name):
            return super().listdir(name)


class Artifacts(Uploads):
    """For large files that are read from their beginning: they come as they are read, and are not kept on a disk."""

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        if mode != "rb":
            raise ValueError("Files of this storage are written whole, by save().")
        with _os_errors(name):
            answer = self.bucket.Object(self._normalize_name(name)).get()
        return _Streamed(io.BufferedReader(_Body(name, answer["Body"])), name, answer["ContentLength"])

    def download(self, name: str, target: Path) -> None:
        """Write a file to this machine's disk, several parts at once."""
        with _os_errors(name):
            self.bucket.Object(self._normalize_name(name)).download_file(str(target), Config=self.transfer_config)


class _Streamed(File):  # type: ignore[type-arg]
    def __init__(self, file: Any, name: str, size: int) -> None:
        super().__init__(file, name)
        self.size = size


class _Body(io.RawIOBase):
    """What comes over the network."""

    def __init__(self, name: str, body: Any) -> None:
        self._name, self._body = name, body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _os_errors(self._name):
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


@contextmanager
def _os_errors(name: str) -> Iterator[None]:
    """Whoever uses a storage is ready for OSErrors alone."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        kind = FileNotFoundError if status == 404 else OSError
        raise kind(f"{name}: the storage answered: {error}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise OSError(f"{name}: the storage does not answer: {error}") from error


def _client(options: dict[str, Any]) -> Config:
    """Checksums of Amazon's own kind are left out, because other makers refuse them: Podium keeps SHA-256 itself."""
    return Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 4},
        s3={"addressing_style": "path" if options.get("endpoint_url") else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
