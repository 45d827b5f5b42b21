"""Config of the stage that brings a model in from elsewhere. It stands beside the loop: no preset, no round."""

import re
from dataclasses import dataclass
from typing import Final

from training.contract.configs.fields import ConfigError, option, path
from training.contract.configs.stage import StageConfig

REPO: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
REVISION: Final = re.compile(r"\w[\w./-]*")


@dataclass(frozen=True, kw_only=True)
class FetchConfig(StageConfig):
    """Fetch: a model from an archive, a folder or the hub, checked, and taken in as safetensors alone."""

    archive: str = path("archive", "A zip or tar archive of a model folder.", group="model")
    folder: str = path("folder", "A model folder.", group="model")
    repo: str = option("", "A model of the Hugging Face hub, as owner/name. It uses the network.", group="model")
    revision: str = option("main", "Branch, tag or commit of the hub's model.", group="model")
    max_gib: float = option(
        100.0, "A model that is larger is refused.", group="limits", min=0.001, max=10_000.0, unit="GiB"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum(map(bool, (self.archive, self.folder, self.repo))) != 1:
            raise ConfigError("repo", "or an archive or a folder must be given, and one of them alone")
        if self.repo and not REPO.fullmatch(self.repo):
            raise ConfigError("repo", f"must be written as owner/name, not {self.repo!r}")
        if self.repo and (not REVISION.fullmatch(self.revision) or ".." in self.revision):
            raise ConfigError("revision", f"must be a branch, a tag or a commit, not {self.revision!r}")
