"""Text that people typed, made fit to store and compare."""

import unicodedata

from marketplace.refusals import Invalid

_CREDIT_DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str, *, field: str, longest: int = 200) -> str:
    """NFC, trimmed, without control or direction characters. Raises: Invalid."""
    text = unicodedata.normalize("NFC", text).strip()
    if any(unicodedata.category(char) in {"Cc", "Cs"} or char in _BIDI for char in text):
        raise Invalid(field=field, reason="control characters are not allowed")
    if not 1 <= len(text) <= longest:
        raise Invalid(field=field, reason="must have 1 to {longest} characters", longest=longest)
    return text


def clean_email(email: str) -> str:
    """Lower case, one @ with something on both sides. Raises: Invalid."""
    email = clean(email, field="email").lower()
    name, _, host = email.partition("@")
    if not name or not host or "@" in host or any(char.isspace() for char in email):
        raise Invalid(field="email", reason="not an address")
    return email


def clean_credit_code(code: str | None) -> str | None:
    """A unified social credit code (GB 32100-2015): 18 characters, the last one checks the others. Raises: Invalid.

    >>> clean_credit_code("91350100m000100y43")
    '91350100M000100Y43'
    """
    if not code:
        return None
    code = code.strip().upper()
    if len(code) != 18 or any(char not in _CREDIT_DIGITS for char in code):
        raise Invalid(field="credit_code", reason="must have 18 digits or capital letters (I, O, S, V, Z excepted)")
    values = [_CREDIT_DIGITS.index(char) for char in code]
    if (sum(value * pow(3, place, 31) for place, value in enumerate(values[:17])) + values[17]) % 31:
        raise Invalid(field="credit_code", reason="its check character does not fit: one character is mistyped")
    return code
