"""Text of prompts and responses as HTML that is safe to show and gives nobody away.

Markdown without HTML, then a second, independent filter. No image is ever loaded: a picture on another host would
tell its owner who reads what.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import ParseError

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
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
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

MAX_MATH_CHARS = 4_000
MAX_HIGHLIGHTED_CHARS = 60_000
HEADINGS_BELOW_THE_CARD = 3  # a response's "# Title" is an h4: cards themselves are h3

# fmt: off
MATH_TAGS = {
    "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup",
    "munder", "mover", "munderover", "mmultiscripts", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom",
    "menclose", "merror", "semantics",
}
TEXT_TAGS = {
    "p", "br", "hr", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "span", "div", "blockquote", "ul", "ol",
    "li", "table", "thead", "tbody", "tr", "th", "td", "a",
}
MATH_ATTRIBUTES = {
    "display", "mathvariant", "stretchy", "fence", "form", "lspace", "rspace", "width", "height", "depth",
    "linethickness", "columnalign", "rowspacing", "columnspacing", "accent", "accentunder", "separator",
    "movablelimits", "minsize", "maxsize", "notation", "scriptlevel", "displaystyle",
}
# fmt: on
CELL_CLASSES = {"align-left", "align-center", "align-right"}

LATEX_ERRORS = (
    DenominatorNotFoundError, DoubleSubscriptsError, DoubleSuperscriptsError, ExtraLeftOrMissingRightError,
    InvalidAlignmentError, InvalidStyleForGenfracError, InvalidWidthError, LimitsMustFollowMathOperatorError,
    MissingEndError, MissingSuperScriptOrSubscriptError, NoAvailableTokensError, NumeratorNotFoundError,
    ParseError, IndexError, KeyError, ValueError, RecursionError,
)  # fmt: skip


@lru_cache(maxsize=2_000)
def to_html(text: str) -> SafeString:
    """The text as HTML. Kept in memory by its hash: the same nine responses are shown to several labelers."""
    return mark_safe(_cleaner.clean(_markdown.render(text)))  # noqa: S308  # the cleaner's allow-list is the guard


def _code(code: str, language: str, _attributes: str) -> str:
    """A fenced block, coloured by class names (the CSP allows no inline style)."""
    try:
        lexer = get_lexer_by_name(language.strip().lower())
    except ClassNotFound:
        lexer = None
    inner = escape(code)
    if lexer is not None and len(code) <= MAX_HIGHLIGHTED_CHARS:
        inner = highlight(code, lexer, HtmlFormatter(nowrap=True))
    return f'<pre class="code" dir="ltr"><code>{inner}</code></pre>'


def _math(source: str, options: dict[str, Any]) -> str:
    """LaTeX as MathML; what does not parse is shown as it was written."""
    block = bool(options.get("display_mode"))
    if len(source) <= MAX_MATH_CHARS:
        try:
            return str(convert(source, display="block" if block else "inline"))
        except LATEX_ERRORS:
            pass  # shown as source below
    return format_html('<code class="math-source">{}</code>', source)


def _image(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return format_html('<span class="image-left-out">[image left out: {}]</span>', tokens[index].content or "no text")


def _direct_blocks(state: StateCore) -> None:
    """Each block of the text finds its own direction; headings sit below the card's; cells are aligned by class."""
    for token in state.tokens:
        if token.type.startswith("heading_"):
            token.tag = f"h{min(6, int(token.tag[1]) + HEADINGS_BELOW_THE_CARD)}"
        if token.nesting == 1 and token.level == 0:  # lists and tables have one direction, found in all of their text
            token.attrSet("dir", "auto")
        if alignment := str(token.attrs.pop("style", "")).removeprefix("text-align:"):
            token.attrSet("class", f"align-{alignment}")


def _make_markdown() -> MarkdownIt:
    options = {"html": False, "linkify": False, "breaks": True, "highlight": _code, "typographer": False}
    markdown = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    markdown.use(texmath_plugin, delimiters="brackets")  # its tokens are drawn by the next plugin's rules
    markdown.use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True, renderer=_math)
    markdown.core.ruler.push("direct_blocks", _direct_blocks)
    markdown.add_render_rule("image", _image)
    return markdown


def _make_cleaner() -> nh3.Cleaner:
    attributes = {tag: {"dir"} for tag in TEXT_TAGS} | {tag: set(MATH_ATTRIBUTES) for tag in MATH_TAGS}
    attributes["a"] = {"href", "title", "dir"}
    attributes["ol"] = {"start", "dir"}
    attributes["span"] = {"class"}
    attributes["code"] = {"class"}
    return nh3.Cleaner(
        tags=TEXT_TAGS | MATH_TAGS,
        clean_content_tags={"script", "style", "iframe", "object"},
        attributes=attributes,
        allowed_classes={"pre": {"code"}, "td": CELL_CLASSES, "th": CELL_CLASSES},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        strip_comments=True,
    )


_markdown = _make_markdown()
_cleaner = _make_cleaner()
