"""System checks: what would otherwise be found by a user."""

from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

# Setting → its values, each with the module it needs and the extra that brings it.
OPTIONAL: dict[str, dict[str, tuple[str, str] | None]] = {
    "PERSONAL_DATA": {"patterns": None, "presidio": ("presidio_analyzer", "pii")},
    "LANGUAGE_DETECTION": {"script": None, "lingua": ("lingua", "languages")},
}
EXTRA_S3 = "Install it with: pip install 'podium[s3]'."


@register()
def storage_is_whole(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A storage that is half configured says so at start, not when the first run is over."""
    place = settings.STORAGE_PLACE
    found: list[CheckMessage] = [Error(text, hint=hint, id="podium.E004") for text, hint in place.problems()]
    if not place.is_folder and not (find_spec("storages") and find_spec("boto3")):
        found.append(Error("PODIUM_STORAGE needs what is not installed.", hint=EXTRA_S3, id="podium.E005"))
    return found


@register()
def optional_parts_are_installed(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A setting that asks for an extra says so at start, not at the first prompt."""
    found: list[CheckMessage] = []
    for name, values in OPTIONAL.items():
        chosen = getattr(settings, name)
        if chosen not in values:
            known = " or ".join(f"“{value}”" for value in values)
            found.append(Error(f"PODIUM_{name} is “{chosen}”.", hint=f"Set it to {known}.", id="podium.E001"))
        elif (needs := values[chosen]) and find_spec(needs[0]) is None:
            hint = f"Install it with: pip install 'podium[{needs[1]}]'."
            found.append(Error(f"PODIUM_{name} is “{chosen}”, which is not installed.", hint=hint, id="podium.E002"))
    if settings.PERSONAL_DATA == "presidio" and find_spec(settings.PERSONAL_DATA_MODEL) is None:
        hint = f"Install it with: python -m spacy download {settings.PERSONAL_DATA_MODEL}."
        found.append(
            Error(f"spaCy's model {settings.PERSONAL_DATA_MODEL} is not installed.", hint=hint, id="podium.E003")
        )
    return found
