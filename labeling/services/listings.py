"""Program text, coloured by class names (the CSP allows no inline style)."""

import re
from typing import Any, Final

from django.utils.html import escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

MAX_HIGHLIGHTED_CHARS: Final = 60_000
LOOK_AT: Final = 2_000

# What tells a language, and how often it must be seen. A wrong guess gives wrong colours and nothing else.
_SIGNS: Final = [
    ("json", re.compile(r"\A\s*[\[{]\s*(?:\"[^\"\n]*\"\s*:|\{\s*\"|\])"), 1),
    ("html", re.compile(r"<(?:!doctype|html|head|body|div|span|p|ul|table|script|a)\b[^>]*>|</\w+>", re.I), 2),
    ("python", re.compile(r"^\s*(?:def \w+\(.*\).*:|class \w+.*:|from [\w.]+ import |import \w+(?: as \w+)?$|elif .*:"
                          r"|for \w+(?:, \w+)* in .*:|if __name__|print\(|@\w+$)", re.M), 1),
    ("cpp", re.compile(r"^\s*#include\s*[<\"]|\bstd::|\bcout\s*<<|\bint main\s*\(", re.M), 1),
    ("java", re.compile(r"\bpublic (?:static )?(?:class|void|int)\b|\bSystem\.out\.|^import java", re.M), 1),
    ("javascript", re.compile(r"^\s*(?:const|let|var) [\w{[].*=|\bfunction\s*\w*\s*\(|=>|\bconsole\.log\(", re.M), 1),
    ("sql", re.compile(r"^\s*(?:select\b.+\bfrom\b|insert into\b|create table\b|update \w+ set\b)", re.I | re.M), 1),
    ("bash", re.compile(r"\A#!.*sh\b|^\s*(?:sudo|apt(?:-get)?|cd|mkdir|pip|npm|git|echo|export) ", re.M), 2),
]  # fmt: skip


def draw(code: str, language: str, _attributes: str = "") -> str:
    """A block of code. One without a language is looked at; what is not recognised stays plain."""
    name = language.strip().lower() or guess(code)
    inner = escape(code)
    if name and len(code) <= MAX_HIGHLIGHTED_CHARS:
        try:
            inner = highlight(code, get_lexer_by_name(name, stripnl=False), HtmlFormatter(nowrap=True))
        except ClassNotFound:
            pass  # a language of the model's invention
    return f'<pre class="code" dir="ltr"><code>{inner}</code></pre>\n'


def guess(code: str) -> str:
    """The name of the language that the first lines look like, or ""."""
    for name, sign, wanted in _SIGNS:
        if sum(1 for _ in zip(sign.finditer(code, 0, min(len(code), LOOK_AT)), range(wanted), strict=False)) >= wanted:
            return name
    return ""


def draw_indented(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """The render rule of code that is indented rather than fenced."""
    return draw(tokens[index].content, "")
