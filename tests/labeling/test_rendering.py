"""Text as safe HTML: what a payload must not become, and what Markdown must."""

import re

import pytest

from labeling.services.rendering import to_html

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](http://beacon.example/p.png)",
    "![x](javascript:alert(1))",
    "[x]: http://a.example 'onmouseover=alert(1)'\n\n[x]",
    '[x](http://a.example "><script>alert(1)</script>")',
    "<http://a.example/'onclick=alert(1)>",
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "$\\href{javascript:alert(1)}{x}$",
    "$</math><script>alert(1)</script>$",
    "$$\\text{<img src=x onerror=alert(1)>}$$",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<style>*{background:url(http://beacon.example)}</style>",
    "| a |\n|:-:|\n| <b onclick=alert(1)>x</b> |",
    "# <a href=javascript:alert(1)>x</a>",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_a_tag_an_attribute_or_an_address(payload):
    tags = re.findall(r"<[^>]*>", to_html(payload))
    for tag in tags:
        assert not re.match(r"</?(script|img|svg|iframe|style|object|embed|form|input|mglyph)", tag, re.IGNORECASE)
        assert not re.search(r"\son\w+\s*=", re.sub(r'"[^"]*"', '""', tag), re.IGNORECASE)
        assert not re.search(r'(href|src)="\s*(javascript|data):', tag, re.IGNORECASE)
        assert "style=" not in tag


def test_markdown_reads_as_it_should():
    html = to_html("# Title\n\n**bold** ~~gone~~ `code`\nnext line\n\n- one\n\n> said")
    assert "<h4" in html  # below the card's own heading
    assert "<strong>bold</strong> <s>gone</s> <code>code</code><br>" in html
    assert "<blockquote" in html


def test_code_is_coloured_by_classes_alone():
    html = to_html("```python\ndef f(): pass\n```")
    assert '<span class="k">def</span>' in html
    assert "style" not in html


def test_code_in_no_known_language_stays_as_it_is():
    assert "a &lt; b" in to_html("```klingon\na < b\n```")


def test_tables_are_aligned_by_class():
    assert '<td class="align-right">1</td>' in to_html("| a |\n|--:|\n| 1 |")


@pytest.mark.parametrize("text", ["$x^2$", "\\(x^2\\)", "$$x^2$$", "\\[\nx^2\n\\]"])
def test_latex_becomes_mathml(text):
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in to_html(text)


@pytest.mark.parametrize("text", ["$x_{$", "$\\frac$", "$\\begin{matrix}$", "$" + "x^" * 3000 + "$"])
def test_latex_that_does_not_parse_is_shown_as_written(text):
    assert "x" in to_html(text) or "\\" in to_html(text)


def test_prices_are_no_formulas():
    assert "costs $5 and $10." in to_html("It costs $5 and $10.")


def test_an_image_says_that_it_was_left_out():
    html = to_html("![A cat](http://beacon.example/cat.png)")
    assert "[image left out: A cat]" in html
    assert "beacon.example" not in html


def test_links_give_nothing_away():
    assert 'rel="noopener noreferrer nofollow"' in to_html("[a](https://a.example)")


def test_each_block_finds_its_own_direction():
    assert to_html("hello\n\nمرحبا").count('<p dir="auto">') == 2
