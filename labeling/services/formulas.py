"""LaTeX as MathML, and where it stands: $…$, \\(…\\), $$…$$, \\[…\\], and environments that stand by themselves.

The converter knows most of LaTeX. What it does not is put into words that it knows first; what still does not parse is
shown as it was written.
"""

import re
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from django.utils.html import format_html
from latex2mathml.converter import convert
from latex2mathml.exceptions import (
    DenominatorNotFoundError,
    DoubleSubscriptsError,
    DoubleSuperscriptsError,
    ExtraLeftOrMissingRightError,
    InvalidAlignmentError,
    InvalidStyleForGenfracError,
    InvalidWidthError,
    LimitsMustFollowMathOperatorError,
    MissingEndError,
    MissingSuperScriptOrSubscriptError,
    NoAvailableTokensError,
    NumeratorNotFoundError,
)
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin

MAX_MATH_CHARS: Final = 4_000
MAX_MATH_LINES: Final = 100
LATEX_ERRORS = (
    DenominatorNotFoundError, DoubleSubscriptsError, DoubleSuperscriptsError, ExtraLeftOrMissingRightError,
    InvalidAlignmentError, InvalidStyleForGenfracError, InvalidWidthError, LimitsMustFollowMathOperatorError,
    MissingEndError, MissingSuperScriptOrSubscriptError, NoAvailableTokensError, NumeratorNotFoundError,
    ParseError, IndexError, KeyError, ValueError, TypeError, AttributeError, RecursionError,
)  # fmt: skip

# Environments that the converter does not know, in words that it does. Columns are kept, numbering is not.
_ALIGNED = r"(?:align|aligned|alignat\*?|alignedat|eqnarray\*?)"
_FENCES = {"p": ("(", ")"), "b": ("[", "]"), "B": (r"\{", r"\}"), "v": ("|", "|"), "V": (r"\|", r"\|")}
_FENCED: Final = re.compile(r"\\(begin|end)\{([pbBvV])matrix\}")
_REWRITTEN: Final = [
    (re.compile(r"\\begin\{(?:alignat\*?|alignedat)\}\s*\{\d+\}"), r"\\begin{align*}"),
    (re.compile(r"\\(begin|end)\{" + _ALIGNED + r"\}(?:\[[tbc]\])?"), r"\\\1{align*}"),
    (re.compile(r"\\(begin|end)\{(?:gather\*?|gathered|multline\*?)\}"), r"\\\1{matrix}"),
    (re.compile(r"\\(begin|end)\{dcases\}"), r"\\\1{cases}"),
    (re.compile(r"\\begin\{rcases\}(.*?)\\end\{rcases\}", re.S), r"\\left.\\begin{matrix}\1\\end{matrix}\\right\\}"),
    (re.compile(r"\\(?:begin|end)\{(?:equation\*?|displaymath|math)\}"), ""),
    (re.compile(r"\\(?:nonumber|notag)(?![a-zA-Z])|\\label\{[^{}]*\}"), ""),
]  # fmt: skip
_STANDS_ALONE = re.compile(r"\\begin\{((?:align|alignat|gather|multline|equation|eqnarray)\*?)\}")


def to_mathml(source: str, options: dict[str, Any]) -> str:
    """The formula, or its source where it does not parse. The caller's cleaner has the last word on both."""
    if len(source) <= MAX_MATH_CHARS:
        try:
            return str(convert(_in_known_words(source), display="block" if options.get("display_mode") else "inline"))
        except LATEX_ERRORS:
            pass  # shown as source below
    return format_html('<code class="math-source">{}</code>', source)


def read_formulas(markdown: MarkdownIt) -> None:
    """Teach Markdown where formulas are."""
    markdown.use(texmath_plugin, delimiters="brackets")  # its tokens are drawn by the next plugin's rules
    markdown.use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True, renderer=to_mathml)
    markdown.inline.ruler.before("escape", "math_display_in_text", _display_in_text)
    markdown.block.ruler.before("fence", "math_environment", _environment, {"alt": ["paragraph"]})
    markdown.add_render_rule("math_inline_double", _draw_display)
    markdown.add_render_rule("math_block", _draw_display_block)


def _in_known_words(source: str) -> str:
    source = _FENCED.sub(_fence, source)
    for pattern, words in _REWRITTEN:
        source = pattern.sub(words, source)
    return source


def _fence(found: re.Match[str]) -> str:
    """A matrix and its fences as one thing: they grow with it, and an exponent stands at the whole."""
    left, right = _FENCES[found[2]]
    return rf"{{\left{left}\begin{{matrix}}" if found[1] == "begin" else rf"\end{{matrix}}\right{right}}}"


def _display_in_text(state: StateInline, silent: bool) -> bool:
    """\\[ … \\] in the middle of a paragraph."""
    if not state.src.startswith("\\[", state.pos):
        return False
    end = state.src.find("\\]", state.pos + 2, state.posMax)
    content = state.src[state.pos + 2 : end].strip() if end != -1 else ""
    if not content:
        return False
    if not silent:
        token = state.push("math_inline_double", "math", 0)
        token.content, token.markup = content, "\\["
    state.pos = end + 2
    return True


def _environment(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """\\begin{align} … \\end{align} on lines of its own, as many models write it."""
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    found = _STANDS_ALONE.match(first)
    if not found:
        return False
    closing = f"\\end{{{found[1]}}}"
    within = range(start, min(end, start + MAX_MATH_LINES))
    last = next((line for line in within if closing in _line(state, line)), None)
    if last is None or not _line(state, last).rstrip().endswith(closing):
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.content = "\n".join(_line(state, line) for line in range(start, last + 1))
        token.block, token.map = True, [start, last + 1]
        state.line = last + 1
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] : state.eMarks[number]]


def _draw_display(renderer: RendererHTML, tokens: Any, index: int, options: Any, env: Any) -> str:
    """A span, since a paragraph holds it."""
    return f'<span class="math-display">{to_mathml(tokens[index].content.strip(), {"display_mode": True})}</span>'


def _draw_display_block(renderer: RendererHTML, tokens: Any, index: int, options: Any, env: Any) -> str:
    return f'<div class="math-display">{to_mathml(tokens[index].content.strip(), {"display_mode": True})}</div>\n'
