"""Personal data that a pattern can tell: e-mail, phone, payment card, IBAN, US social security number.

Precise rather than complete: a number is only called a card when its check digit is right. Names and addresses are
not found; read what you import.
"""

import re

EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9._%+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![\w-])")
# International with its plus, or the North American shape with separators.
PHONE = re.compile(
    r"(?<![\w+.])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}"
    r"|(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-.]\d{4})(?![\w-])"
)
CARD = re.compile(r"(?<![\w.-])(?<!\d[ -])[3-6](?:[ -]?\d){12,18}(?![\w-])")
IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")

# Reserved for examples (RFC 2606, RFC 6761): nobody's address.
NOBODYS = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|org|net))?|test|invalid|localhost)$", re.IGNORECASE)


def find(text: str) -> list[str]:
    """The kinds of personal data in the text, sorted; never the data themselves, which must not reach a log."""
    found = {
        "e-mail": any(not NOBODYS.search(match[1]) for match in EMAIL.finditer(text)) if "@" in text else False,
        "phone": any(_is_phone(match[0]) for match in PHONE.finditer(text)),
        "payment card": any(_passes_luhn(match[0]) for match in CARD.finditer(text)),
        "IBAN": any(_passes_mod_97(match[0]) for match in IBAN.finditer(text)),
        "social security number": SSN.search(text) is not None,
    }
    return sorted(kind for kind, is_there in found.items() if is_there)


def _digits(text: str) -> str:
    return "".join(char for char in text if char in "0123456789")


def _is_phone(text: str) -> bool:
    """8 to 15 digits (E.164), and not the 555-01xx numbers that are kept for films and examples."""
    digits = _digits(text)
    return 8 <= len(digits) <= 15 and not re.search(r"55501\d\d$", digits)


def _passes_luhn(text: str) -> bool:
    digits = [int(char) for char in _digits(text)]
    doubled = [digit * 2 - 9 * (digit > 4) if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    return len(set(digits)) > 1 and sum(doubled) % 10 == 0


def _passes_mod_97(text: str) -> bool:
    packed = text.replace(" ", "")
    turned = packed[4:] + packed[:4]
    return 15 <= len(packed) <= 34 and int("".join(str(int(char, 36)) for char in turned)) % 97 == 1
