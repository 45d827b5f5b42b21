"""Microsoft Presidio, where the extra `pii` is installed: names and more, by a model of spaCy. It reads English.

E-mail addresses and links are left to our own patterns: Presidio's would ask another host for the list of suffixes.
"""

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

MIN_SCORE: Final = 0.6
# Presidio's own names → ours. Dates, nationalities and addresses of pages are too common in prompts to be told.
KINDS: Final = {
    "PERSON": "name",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "payment card",
    "IBAN_CODE": "IBAN",
    "US_SSN": "social security number",
    "IP_ADDRESS": "IP address",
    "CRYPTO": "crypto wallet",
    "MEDICAL_LICENSE": "medical licence",
    "US_PASSPORT": "passport",
    "UK_NHS": "health number",
}


def find(text: str) -> set[str]:
    results: list[Any] = _engine().analyze(text=text, language="en", entities=list(KINDS), score_threshold=MIN_SCORE)
    return {KINDS[result.entity_type] for result in results}


@cache
def _engine() -> "AnalyzerEngine":
    """Loading the language model takes seconds: once per process."""
    if find_spec(settings.PERSONAL_DATA_MODEL) is None:  # Presidio would try to download it
        raise ImproperlyConfigured(f"spaCy's model {settings.PERSONAL_DATA_MODEL} is not installed.")
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    model = {"lang_code": "en", "model_name": settings.PERSONAL_DATA_MODEL}
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": [model]})
    return AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])
