"""Text as safe HTML: what a payload must not become, and what Markdown must."""

import re
import time

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
    "text \\[\\text{<img src=x onerror=alert(1)>}\\] text",
    "\\begin{align}<script>alert(1)</script>\\end{align}",
    "\\begin{align}\\href{javascript:alert(1)}{x}\\end{align}",
    "$\\includegraphics{http://beacon.example/p.png}$",
    "$\\unicode{x3c}script\\unicode{x3e}$",
    "$\\style{background:url(http://beacon.example)}{x}$",
    "$\\class{evil}{x} \\cssId{evil}{x} \\data{onclick=alert(1)}{x}$",
    "`<script>alert(1)</script>`",
    '`" onmouseover="alert(1)`',
    "    <script>alert(1)</script>\n    <img src=x onerror=alert(1)>",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "```<svg/onload=alert(1)>\nx\n```",
    "| a |\n|--|\n| ![x](http://beacon.example/p.png) |",
    "| <table onclick=alert(1)> |\n|--|\n| [x](vbscript:alert(1)) |",
    "[![x](http://beacon.example/p.png)](http://a.example)",
    "<link rel=preload href=http://beacon.example>",
    "<a href=http://a.example ping=http://beacon.example>x</a>",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_a_tag_an_attribute_or_an_address(payload):
    tags = re.findall(r"<[^>]*>", to_html(payload))
    for tag in tags:
        assert not re.match(r"</?(script|img|svg|iframe|style|object|embed|form|input|mglyph)", tag, re.IGNORECASE)
        assert not re.search(r"\son\w+\s*=", re.sub(r'"[^"]*"', '""', tag), re.IGNORECASE)
        assert not re.search(r'(href|src)="\s*(javascript|data):', tag, re.IGNORECASE)
        assert not re.search(r"\sstyle\s*=", tag)


def test_markdown_reads_as_it_should():
    html = to_html("# Title\n\n**bold** ~~gone~~ `code`\nnext line\n\n- one\n\n> said")
    assert "<h4" in html  # below the card's own heading
    assert '<strong>bold</strong> <s>gone</s> <code dir="ltr">code</code><br>' in html
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


@pytest.mark.parametrize("text", ["so \\[x^2\\] it is", "so $$x^2$$ it is", "- one\n- so \\[x^2\\]"])
def test_a_displayed_formula_stays_inside_its_paragraph(text):
    html = to_html(text)
    assert '<span class="math-display"><math display="block">' in html
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in html
    assert "<p></p>" not in html


@pytest.mark.parametrize(
    "environment",
    ["aligned", "align", "align*", "alignedat}{2", "alignat*}{1", "eqnarray", "split", "gathered", "dcases"],
)
def test_columns_of_an_environment_are_columns(environment):
    name, _, argument = environment.partition("}{")
    opening = f"\\begin{{{name}}}" + (f"{{{argument}}}" if argument else "")
    html = to_html(f"$${opening} a &= b \\\\ &= c \\end{{{name}}}$$")
    assert html.count("<mtr>") == 2
    assert "&amp;" not in html
    assert "<mtext>(1)" not in html  # numbers of equations mean nothing here


def test_an_exponent_of_a_matrix_stands_at_the_whole():
    html = to_html("$\\begin{pmatrix} a & b \\end{pmatrix}^{-1}$")
    assert "<msup><mrow>" in html
    assert html.index("<mtable>") < html.index("</mtable>") < html.index(">)</mo>") < html.index("<mn>1</mn>")


def test_an_environment_may_stand_by_itself_between_paragraphs():
    html = to_html("We have\n\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}\nand so on.")
    assert html.count("<mtr>") == 2
    assert html.count("<p") == 2
    assert "\\begin" not in html


@pytest.mark.parametrize("text", ["\\begin{align} a", "\\begin{document} x \\end{document}", "\\[ \\]", "\\[ x"])
def test_what_is_no_formula_is_left_as_text(text):
    assert "<math" not in to_html(text)


def test_thousands_of_openings_without_an_end_take_no_time():
    start = time.process_time()
    to_html("\\begin{align}\n" * 4_000 + "\\[ x " * 4_000)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("text", "coloured"),
    [
        ("    def f(x):\n        return x", '<span class="k">def</span>'),
        ("```\nSELECT name FROM people\n```", '<span class="k">SELECT</span>'),
        ('```\n{"a": [1]}\n```', '<span class="nt">'),
        ("```\nconst a = 1;\n```", '<span class="kd">const</span>'),
        ("```\n#include <stdio.h>\nint main() {}\n```", '<span class="cp">'),
    ],
)
def test_code_without_a_language_is_recognised(text, coloured):
    html = to_html(text)
    assert coloured in html
    assert '<pre class="code" dir="ltr">' in html


@pytest.mark.parametrize("text", ["Dear Sir,", "1. one\n2. two", "import this matter to me", ""])
def test_words_in_a_block_are_not_taken_for_code(text):
    assert "<span" not in to_html(f"```\n{text}\n```")


def test_a_table_has_a_box_to_scroll_in():
    assert '<div class="table-box"><table dir="auto">' in to_html("| a |\n|--|\n| 1 |")


def test_code_in_a_sentence_runs_left_to_right_and_does_not_turn_the_sentence():
    assert '<code dir="ltr">x = 1</code>' in to_html("`x = 1` مرحبا")


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
