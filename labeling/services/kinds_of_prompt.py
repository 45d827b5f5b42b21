"""What kind of prompt a row is: its use case from the file's category by a table, its language by code or by script."""

import re
import unicodedata
from collections import Counter

from labeling.models import UseCase

# The file's category, lower case, spaces as "_" → InstructGPT's use case. What is not here is taken as Other, and said.
USE_CASES: dict[str, UseCase] = {
    **{use_case.value: use_case for use_case in UseCase},
    "qa": UseCase.OPEN_QA,
    "question_answering": UseCase.OPEN_QA,
    "general_qa": UseCase.OPEN_QA,
    "knowledge": UseCase.OPEN_QA,
    "common-sense": UseCase.OPEN_QA,
    "generic": UseCase.OPEN_QA,
    "humanities": UseCase.OPEN_QA,
    "stem": UseCase.OPEN_QA,
    "psychology": UseCase.OPEN_QA,
    "law": UseCase.OPEN_QA,
    "social_science": UseCase.OPEN_QA,
    "environmental_science": UseCase.OPEN_QA,
    "data_science": UseCase.OPEN_QA,
    "lesser_known_major": UseCase.OPEN_QA,
    "barrier_free": UseCase.OPEN_QA,
    "intimate_relationship": UseCase.OPEN_QA,
    "grounded_qa": UseCase.CLOSED_QA,
    "reading_comprehension": UseCase.CLOSED_QA,
    "writing": UseCase.GENERATION,
    "creative_writing": UseCase.GENERATION,
    "coding": UseCase.GENERATION,
    "code": UseCase.GENERATION,
    "counterfactual": UseCase.BRAINSTORMING,
    "brainstorm": UseCase.BRAINSTORMING,
    "roleplay": UseCase.CHAT,
    "dialogue": UseCase.CHAT,
    "conversation": UseCase.CHAT,
    "translation": UseCase.REWRITE,  # the paper's own example of a rewrite
    "rewriting": UseCase.REWRITE,
    "paraphrase": UseCase.REWRITE,
    "summarisation": UseCase.SUMMARIZATION,
    "summary": UseCase.SUMMARIZATION,
    "long_summarization": UseCase.SUMMARIZATION,
    "extraction": UseCase.EXTRACT,
    "information_extraction": UseCase.EXTRACT,
    "math": UseCase.OTHER,
    "reasoning": UseCase.OTHER,
    "fermi": UseCase.OTHER,
}

LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*(>[a-z]{2,3})?")

# Scripts that one language mostly has for itself. Latin, Cyrillic, Arabic and Devanagari tell nothing.
SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "THAI": "th",
    "HEBREW": "he",
    "GREEK": "el",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KHMER": "km",
    "LAO": "lo",
    "MYANMAR": "my",
    "SINHALA": "si",
    "CJK": "zh",
}


def use_case_of(category: str) -> UseCase | None:
    """By the table; a language prefix such as “zh_” does not matter."""
    name = re.sub(r"\s+", "_", category.strip().lower())
    return USE_CASES.get(name) or USE_CASES.get(re.sub(r"^[a-z]{2}_", "", name))


def language_code(given: str) -> str | None:
    """The code in our spelling; None if it is none. “zh>en” is a translation."""
    code = given.strip().lower().replace("_", "-")
    return code if len(code) <= 16 and LANGUAGE.fullmatch(code) else None


def language_by_script(text: str) -> str:
    """The language when the script tells; "" otherwise. Kana among Chinese characters is Japanese."""
    scripts = Counter(unicodedata.name(char, "").split(" ", 1)[0] for char in text[:2_000] if char.isalpha())
    scripts = Counter({script.removeprefix("HALFWIDTH").removeprefix("FULLWIDTH"): n for script, n in scripts.items()})
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if kana and kana * 10 >= scripts["CJK"]:
        scripts["HIRAGANA"] = kana + scripts.pop("CJK", 0)
    if not scripts:
        return ""
    most, count = scripts.most_common(1)[0]
    return SCRIPTS.get(most, "") if count * 2 > scripts.total() else ""
