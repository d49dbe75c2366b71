"""Takes out of texts and JSON what must not be there: addresses, credentials, and what stands at a path.

What is found is replaced by [REDACTED], and counted; doing it again finds nothing more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orchestration.agent_run import DECODER, ENCODER, REDACTED, SECRET, SECRET_TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

# From the beginning of a word on, so that a long one without an address is looked at once.
EMAIL = re.compile(r"(?<![A-Za-z0-9_%+.-])[A-Za-z0-9_%+.-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
# As their makers publish them, so that one can be told from any other word.
CREDENTIAL = re.compile(
    r"\bsk-[A-Za-z0-9_-]{20,}"  # OpenAI, Anthropic
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # Amazon
    r"|\bAIza[0-9A-Za-z_-]{35}"  # Google
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{22,}"
    r"|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abeprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"  # JSON web tokens
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def redact(content: str, rules: Sequence[str], *, is_json: bool) -> tuple[str, int]:
    """Replace what the rules name; return the rest, and how many places were replaced.

    Args:
        content: A text, or JSON as text.
        rules: As in `ops.protected_columns.redacted`.
        is_json: Which of the two.
    """
    if not rules:
        return content, 0
    redactor = _Redactor(rules)
    if is_json:
        redacted = redactor.in_value(DECODER.decode(content), ())
        return (ENCODER.encode(redacted).decode() if redactor.places else content), redactor.places
    return redactor.in_text(content), redactor.places


class _Redactor:
    """Rules, and how many places they have replaced."""

    def __init__(self, rules: Sequence[str]) -> None:
        self.rules = set(rules)
        self.paths = {tuple(rule[1:].split("/")) for rule in rules if rule.startswith("/")}
        self.places = 0

    def in_value(self, value: Any, path: tuple[str, ...]) -> Any:
        if not path and "*" in self.rules and value not in (REDACTED, {}, []):
            self.places += 1
            return {} if isinstance(value, dict) else [] if isinstance(value, list) else REDACTED
        if isinstance(value, dict):
            return {key: self.in_field(key, inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.in_value(inner, path) for inner in value]
        return self.in_text(value) if isinstance(value, str) else value

    def in_field(self, key: str, value: Any, path: tuple[str, ...]) -> Any:
        is_secret = "secret" in self.rules and value and SECRET.search(key)
        is_named = path in self.paths and value is not None
        if (is_named or is_secret) and value != REDACTED:
            self.places += 1
            return REDACTED
        return self.in_value(value, path)

    def in_text(self, text: str) -> str:
        if "*" in self.rules:
            return self.replaced(text)
        if "email" in self.rules:
            text = EMAIL.sub(self.replaced, text)
        if "secret" in self.rules:
            text = CREDENTIAL.sub(self.replaced, text)
            text = SECRET_TEXT.sub(self.without_value, text.encode()).decode()
        return text

    def replaced(self, found: re.Match[str] | str) -> str:
        self.places += found != REDACTED
        return REDACTED

    def without_value(self, found: re.Match[bytes]) -> bytes:
        redacted = found[1] + f'"{REDACTED}"'.encode()
        self.places += found[0] != redacted
        return redacted
