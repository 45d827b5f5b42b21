"""Answers that a browser saves instead of showing, made while they are sent."""

import csv
from collections.abc import Iterable, Iterator
from typing import TypeVar

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header

Answer = TypeVar("Answer", HttpResponse, StreamingHttpResponse)


def attached(answer: Answer, filename: str) -> Answer:
    answer["Content-Disposition"] = str(content_disposition_header(True, filename))
    return answer


def csv_lines(rows: Iterable[list[str]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow(row)


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, line: str) -> str:
        return line
