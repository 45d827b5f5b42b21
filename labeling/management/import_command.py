"""What the three import commands share: their options, and the table they print."""

import csv
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from labeling.models import ImportBatch, Project, UseCase
from labeling.services import imports
from labeling.services.imports.rows import SPLITS

DATA_FILES = (".parquet", ".arrow", ".jsonl", ".ndjson", ".csv", ".tsv", ".jsonl.gz", ".csv.gz")


class ImportCommand(BaseCommand):
    kind: ClassVar[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            metavar="FILE",
            help="JSON Lines, CSV, Parquet or Arrow, plain or gzipped; or the folder of a saved dataset",
        )
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--create-project", action="store_true", help="make the project when there is none")
        parser.add_argument("--dataset", default="", metavar="NAME", help="the data set of rows that name none")
        parser.add_argument("--language", default="", metavar="CODE", help="the language of rows that name none")
        parser.add_argument(
            "--use-case", default="", choices=["", *UseCase.values], help="for rows without a known one"
        )
        parser.add_argument(
            "--column", action="append", default=[], metavar="OURS=THEIRS", help="map a column; repeatable"
        )
        parser.add_argument("--personal-data", choices=["refuse", "take"], default=self.personal_data)
        parser.add_argument("--near-duplicates", choices=["refuse", "take"], default="refuse", help="prompts only")
        parser.add_argument(
            "--comparisons",
            choices=["rankings", "pairs"],
            default="rankings",
            help="rankings only: pair judgements that leave no order of all responses are left out, or kept in twos",
        )
        parser.add_argument(
            "--refusals", type=Path, metavar="CSV", help="write every refused row's line and reason there"
        )

    #: Rows that people judged or wrote are worth keeping: there personal data is counted, not refused.
    personal_data: ClassVar[str] = "take"

    def handle(self, *, file: Path, project: str, **options: Any) -> None:
        reading = _reading_options(options)
        where = self._project(project, create=options["create_project"])
        batches = [self._read(where, path, reading | {"split": split}) for path, split in _files_of(file)]
        if options["refusals"]:
            _write_refusals(batches, options["refusals"])
        if failed := [f"{batch.filename}: {batch.error}" for batch in batches if batch.state != ImportBatch.State.DONE]:
            raise CommandError("\n".join(failed))

    def _read(self, project: Project, path: Path, reading: dict[str, Any]) -> ImportBatch:
        try:
            batch = imports.run_file(project=project, kind=self.kind, path=path, options=reading)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        except imports.FileError as error:
            raise CommandError(f"{path.name}: {error}") from error
        self._print(batch)
        return batch

    def _project(self, slug: str, *, create: bool) -> Project:
        found = Project.objects.filter(slug=slug).first()
        if found or not create:
            if not found:
                raise CommandError(f"There is no project “{slug}”. Add --create-project to make it.")
            return found
        return Project.objects.create(slug=slug, name=slug)

    def _print(self, batch: ImportBatch) -> None:
        tally = imports.tally(batch)
        self.stdout.write(f"{batch.filename} into {batch.project.slug} (sha256 {batch.file_sha256[:16]})")
        self._rows([("rows", tally.num_rows), ("taken", tally.num_taken), ("refused", tally.num_refused)])
        if tally.made:
            self.stdout.write("made")
            self._rows([(what, num) for what, num in tally.made.items()])
        for title, found in (("refused, by reason", tally.refused), ("noticed on rows that were taken", tally.notes)):
            if found:
                self.stdout.write(title)
                self._reasons(found)

    def _rows(self, rows: list[tuple[str, int]]) -> None:
        for name, num in rows:
            self.stdout.write(f"  {name:<45} {num:>9,}")

    def _reasons(self, found: dict[str, Any]) -> None:
        for name, reason in found.items():
            more = ", …" if reason.count > len(reason.lines) else ""
            lines = ", ".join(str(line) for line in reason.lines) + more
            self.stdout.write(f"  {name:<45} {reason.count:>9,}   line {lines}")


def _reading_options(options: dict[str, Any]) -> dict[str, Any]:
    columns = dict(pair.split("=", 1) for pair in options["column"] if "=" in pair)
    if len(columns) < len(options["column"]):
        raise CommandError("Write --column OURS=THEIRS, such as --column prompt=question.")
    names = ("dataset", "language", "use_case", "personal_data", "near_duplicates", "comparisons")
    return {"columns": columns} | {name: options[name] for name in names}


def _files_of(path: Path) -> list[tuple[Path, str]]:
    """The file itself; of a folder, its data files, each with the split that its name or folder says."""
    if not path.is_dir():
        return [(path, "")]
    found = sorted(item for item in path.rglob("*") if item.is_file() and item.name.lower().endswith(DATA_FILES))
    if not found:
        raise CommandError(f"There is no data file in {path}: {', '.join(DATA_FILES)}.")
    return [(item, _split_of(item.relative_to(path))) for item in found]


def _split_of(path: Path) -> str:
    words = re.split(r"[^a-z]+", path.as_posix().lower())
    return next((str(SPLITS[word]) for word in words if word in SPLITS), "")


def _write_refusals(batches: list[ImportBatch], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "reason", "detail", "file"])
        for batch in batches:
            for item in batch.refusals.order_by("line").iterator():
                writer.writerow([item.line, item.reason, imports.cell(item.detail), imports.cell(batch.filename)])
