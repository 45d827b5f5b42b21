"""Where uploads, snapshots, models and what runs leave are kept: folders of PODIUM_HOME, or an S3-compatible bucket."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

S3_VARIABLES = ("PODIUM_S3_ENDPOINT", "PODIUM_S3_REGION", "PODIUM_S3_ACCESS_KEY", "PODIUM_S3_SECRET_KEY")
SCHEME = "s3"


@dataclass(frozen=True)
class Place:
    """What the environment says of it. The keys stay out of what is printed."""

    url: str
    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @classmethod
    def read(cls, variable: Callable[[str], str]) -> "Place":
        return cls(variable("PODIUM_STORAGE"), *map(variable, S3_VARIABLES))

    @property
    def is_folder(self) -> bool:
        return not self.url

    def storages(self, home: Path) -> dict[str, dict[str, Any]]:
        """Django's STORAGES: `default` for what people upload, `artifacts` for what Podium makes."""
        if self.is_folder:
            backend = "django.core.files.storage.FileSystemStorage"
            folders = {"default": home / "uploads", "artifacts": home / "artifacts"}
            return {name: {"BACKEND": backend, "OPTIONS": {"location": path}} for name, path in folders.items()}
        return {
            "default": {"BACKEND": "config.s3.Uploads", "OPTIONS": self._options("uploads")},
            "artifacts": {"BACKEND": "config.s3.Artifacts", "OPTIONS": self._options("artifacts")},
        }

    def problems(self) -> list[tuple[str, str]]:
        """What is half said, each with what to do about it."""
        if self.is_folder:
            return [(f"{name} is set, and PODIUM_STORAGE is not.", _EXAMPLE) for name in self._given()]
        found = []
        parts = urlsplit(self.url)
        if parts.scheme != SCHEME or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
            found.append(("PODIUM_STORAGE is no address of a bucket.", _EXAMPLE))
        endpoint = urlsplit(self.endpoint)
        if self.endpoint and (endpoint.scheme not in ("http", "https") or not endpoint.netloc):
            hint = "Set it to something like https://s3.example.org, or leave it out for AWS."
            found.append(("PODIUM_S3_ENDPOINT is no http or https address.", hint))
        if bool(self.access_key) != bool(self.secret_key):
            there, missing = S3_VARIABLES[2:] if self.access_key else reversed(S3_VARIABLES[2:])
            hint = "Set both, or neither where the machine has a role or an AWS profile."
            found.append((f"{there} is set, and {missing} is not.", hint))
        return found

    def _given(self) -> list[str]:
        values = (self.endpoint, self.region, self.access_key, self.secret_key)
        return [name for name, value in zip(S3_VARIABLES, values, strict=True) if value]

    def _options(self, folder: str) -> dict[str, Any]:
        parts = urlsplit(self.url)
        return {
            "bucket_name": parts.netloc,
            "location": f"{parts.path.strip('/')}/{folder}".lstrip("/"),
            "endpoint_url": self.endpoint or None,
            "region_name": self.region or None,
            "access_key": self.access_key or None,
            "secret_key": self.secret_key or None,
        }


_EXAMPLE = "Set PODIUM_STORAGE to s3://bucket or s3://bucket/prefix; without it files are in folders of PODIUM_HOME."
