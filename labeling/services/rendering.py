"""Text of prompts and responses as HTML that is safe to show and gives nobody away.

Markdown without HTML, then a second, independent filter. No image is ever loaded: a picture on another host would
tell its owner who reads what.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from labeling.services import formulas, listings

LIBRARIES = ("markdown-it-py", "mdit-py-plugins", "nh3", "Pygments", "latex2mathml")
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
    "linethickness", "columnalign", "rowspacing", "columnspacing", "columnlines", "rowlines", "accent",
    "accentunder", "separator", "movablelimits", "minsize", "maxsize", "notation", "scriptlevel", "displaystyle",
}
# fmt: on
BOX_CLASSES = {"table-box", "math-display"}
CELL_CLASSES = {"align-left", "align-center", "align-right"}


@lru_cache(maxsize=2_000)
def to_html(text: str) -> SafeString:
    """The text as HTML. Kept in memory by its hash: the same nine responses are shown to several labelers."""
    return mark_safe(_cleaner.clean(_markdown.render(text)))  # noqa: S308  # the cleaner's allow-list is the guard


def _short_code(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Code within a sentence runs left to right, whatever the sentence does, and says nothing of its direction."""
    return f'<code dir="ltr">{escape(tokens[index].content)}</code>'


def _table(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A wide table scrolls in a box of its own, so that it stays a table to a screen reader."""
    tag = renderer.renderToken(tokens, index, options, env)
    return f'<div class="table-box">{tag}' if tokens[index].nesting == 1 else f"{tag}</div>\n"


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
    options = {"html": False, "linkify": False, "breaks": True, "highlight": listings.draw, "typographer": False}
    markdown = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    markdown.use(formulas.read_formulas)
    markdown.core.ruler.push("direct_blocks", _direct_blocks)
    for name, rule in (
        ("image", _image),
        ("code_inline", _short_code),
        ("code_block", listings.draw_indented),
        ("table_open", _table),
        ("table_close", _table),
    ):
        markdown.add_render_rule(name, rule)
    return markdown


def _make_cleaner() -> nh3.Cleaner:
    attributes = {tag: {"dir"} for tag in TEXT_TAGS} | {tag: set(MATH_ATTRIBUTES) for tag in MATH_TAGS}
    attributes["a"] = {"href", "title", "dir"}
    attributes["ol"] = {"start", "dir"}
    attributes["span"] = {"class"}
    attributes["code"] = {"class", "dir"}
    return nh3.Cleaner(
        tags=TEXT_TAGS | MATH_TAGS,
        clean_content_tags={"script", "style", "iframe", "object"},
        attributes=attributes,
        allowed_classes={"pre": {"code"}, "div": BOX_CLASSES, "td": CELL_CLASSES, "th": CELL_CLASSES},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        strip_comments=True,
    )


def _version() -> str:
    """Of all that decides what a text becomes: our own code and the libraries it stands on."""
    parts = [Path(module).read_bytes() for module in (__file__, formulas.__file__, listings.__file__)]
    parts += [f"{name} {metadata.version(name)}".encode() for name in LIBRARIES]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]


_markdown = _make_markdown()
_cleaner = _make_cleaner()
VERSION: Final = _version()
