"""Kinds of personal data in a text: by patterns; by Presidio too where PODIUM_PERSONAL_DATA says so."""

from django.conf import settings

from labeling.services.personal_data import patterns

# All kinds that either finds, for the filter.
KINDS = (
    "e-mail",
    "phone",
    "payment card",
    "IBAN",
    "social security number",
    "name",
    "IP address",
    "crypto wallet",
    "medical licence",
    "passport",
    "health number",
)


def find(text: str) -> list[str]:
    """The kinds found, sorted; never the data themselves, which must not reach a log."""
    kinds = set(patterns.find(text))
    if settings.PERSONAL_DATA == "presidio":
        from labeling.services.personal_data import recognizers  # the extra `pii`: loads a language model

        kinds.update(recognizers.find(text))
    return sorted(kinds)
