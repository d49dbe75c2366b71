"""Tokens that decrypt in their place with their key, and nowhere and with nothing else."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.encryption import (
    FILE_VARIABLE,
    KEYS_VARIABLE,
    PREFIX,
    Cell,
    DecryptionError,
    Keys,
)
from orchestration.errors import AgentbooksError
from orchestration.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

CELL = Cell(
    "agentic.agent_decisions", "decision_rationale", {"session_id": "s", "decision_id": "d"}
)
KEYS = Keys("new", {"new": bytes(range(32)), "old": bytes(32)})
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ é"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS)
def test_what_is_encrypted_comes_back(text: str) -> None:
    """A character that is lost on the way, or a token of two lines."""
    token = KEYS.encrypt(text, CELL)
    assert KEYS.decrypt(token, CELL) == text
    assert token.isascii()
    assert token.isprintable()
    assert token.startswith(f"{PREFIX}new.")
    assert KEYS.encrypt(text, CELL) != token


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS,
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    )
)
def test_json_comes_back(value: object) -> None:
    """A value of a JSON column that is another one afterwards."""
    token = KEYS.encrypt_json(value, CELL)
    assert json.loads(json.dumps(token)) == token
    assert KEYS.decrypt_json(token, CELL) == value


@given(TEXTS, st.data())
def test_a_token_with_any_other_character_is_refused(text: str, data: st.DataObject) -> None:
    """A changed token that decrypts to something."""
    token = KEYS.encrypt(text, CELL)
    place = data.draw(st.integers(len(PREFIX), len(token) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda letter: letter != token[place]))
    with pytest.raises(DecryptionError):
        KEYS.decrypt(token[:place] + other + token[place + 1 :], CELL)


@given(TEXTS, st.data())
def test_a_cut_or_longer_token_is_refused(text: str, data: st.DataObject) -> None:
    """Half a token that decrypts to half a text."""
    token = KEYS.encrypt(text, CELL)
    end = data.draw(st.integers(len(PREFIX), len(token) - 1))
    for wrong in (token[:end], token + token[end], token + "="):
        with pytest.raises(DecryptionError):
            KEYS.decrypt(wrong, CELL)


@pytest.mark.parametrize(
    "elsewhere",
    [
        Cell(
            "agentic.agent_decisions", "decision_rationale", {"session_id": "s", "decision_id": "e"}
        ),
        Cell(
            "agentic.agent_decisions", "decision_rationale", {"session_id": "d", "decision_id": "s"}
        ),
        Cell("agentic.agent_decisions", "decision_rationale", {"session_id": "s"}),
        Cell("agentic.agent_decisions", "action_taken", CELL.identity),
        Cell("agentic.trust_metrics", "decision_rationale", CELL.identity),
        Cell("agentic.agent_decisions", "decision_rationale", CELL.identity | {"tenant": "a"}),
    ],
)
def test_a_token_that_was_moved_is_refused(elsewhere: Cell) -> None:
    """Reasons of one decision that are read as those of another."""
    token = KEYS.encrypt("because", CELL)
    with pytest.raises(DecryptionError, match="changed or moved"):
        KEYS.decrypt(token, elsewhere)


def test_how_an_id_is_written_does_not_matter() -> None:
    """An application that writes its ids in capitals, and tokens that then do not decrypt."""
    row = "0B5C1E9A-0000-4000-8000-00000000000A"
    written, stored = (Cell("t", "c", {"id": i}) for i in (row, row.lower()))
    assert KEYS.decrypt(KEYS.encrypt("because", written), stored) == "because"


def test_a_text_is_read_as_it_is_and_a_false_token_is_not() -> None:
    """A user whose text is taken for a token, so that nobody encrypts it."""
    assert KEYS.decrypt("because", CELL) == "because"
    assert KEYS.decrypt_json({"encrypted": "because"}, CELL) == {"encrypted": "because"}
    false = KEYS.encrypt("because", Cell("t", "c", {"id": 1}))
    with pytest.raises(DecryptionError, match="only looks encrypted"):
        KEYS.decrypt(false, CELL)
    assert KEYS.decrypt(KEYS.encrypt(false, CELL), CELL) == false


def test_the_next_key_encrypts_and_the_old_one_still_decrypts() -> None:
    """Values that nobody can read any more after a rotation."""
    old = Keys("old", {"old": bytes(32)}).encrypt("because", CELL)
    assert KEYS.decrypt(old, CELL) == "because"
    with pytest.raises(DecryptionError, match="key old that is not given"):
        Keys("new", {"new": bytes(range(32))}).decrypt(old, CELL)
    with pytest.raises(DecryptionError, match="does not decrypt"):
        Keys("old", {"old": bytes(range(32))}).decrypt(old, CELL)


GOOD = base64.b64encode(bytes(range(32))).decode()
BAD = {
    f"a:{base64.b64encode(bytes(16)).decode()}": "key a of AGENTBOOKS_KEYS has 16 bytes, not 32",
    f"a:{base64.b64encode(bytes(33)).decode()}": "has 33 bytes, not 32",
    "a:not base64!": "is no base64",
    "a:": "is no `id:key`",
    GOOD: "is no `id:key`",
    f"a b:{GOOD}": "is no `id:key`",
    f"{'a' * 33}:{GOOD}": "is no `id:key`",
    f"a:{GOOD},b:{GOOD},a:{GOOD}": "has key a twice",
    " , ": "has no key",
    "# nothing yet": "has no key",
}


@pytest.mark.parametrize("given", BAD)
def test_what_is_no_key_is_told_in_a_sentence_without_it(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """A key that is shorter than it should be, or that stands in a log."""
    monkeypatch.setenv(KEYS_VARIABLE, given)
    with pytest.raises(AgentbooksError) as refused:
        Keys.chosen()
    sentence = str(refused.value)
    assert BAD[given] in sentence
    assert sentence.startswith("keys: ")
    assert sentence.endswith(".")
    assert GOOD not in sentence
    assert "not base64" not in sentence


def test_keys_come_from_a_file_the_first_is_the_current_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A key that must stand in the environment, or a rotation that encrypts with the old one."""
    path = tmp_path / "keys"
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    assert Keys.chosen() is None
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    with pytest.raises(AgentbooksError, match=r"cannot read .* \(No such file"):
        Keys.chosen()
    path.write_text(f"# made in May\nb:{GOOD}\n\na:{GOOD.replace('+', '-').replace('/', '_')}\n")
    keys = Keys.chosen()
    assert keys is not None
    assert (keys.current, list(keys.by_id)) == ("b", ["b", "a"])
    assert keys.by_id["a"] == keys.by_id["b"]
    assert GOOD not in repr(keys)
    monkeypatch.setenv(KEYS_VARIABLE, f"a:{GOOD}")
    with pytest.raises(AgentbooksError, match="are both set"):
        Keys.chosen()


SECRETS = (
    "sk-proj-abcdefghijklmnop1234",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1" * 18,
    "xoxb-1234567890-abc",
    "AIza" + "a" * 35,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0abc.sig",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "ada.lovelace+x@mail.example.org",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("is_json", [False, True])
def test_addresses_and_credentials_are_taken_out_and_counted_once(
    secret: str, is_json: bool
) -> None:
    """A credential in a text, or one that each further run takes out again."""
    content = f"it said {secret}, twice: {secret}; the rest is left."
    if is_json:
        content = json.dumps({"deep": [content, 1.50, None]})
    redacted, places = redact(content, ["email", "secret"], is_json=is_json)
    assert places == 2
    assert json.dumps(secret)[1:-1] not in redacted
    assert "the rest is left." in redacted
    assert redact(redacted, ["email", "secret"], is_json=is_json) == (redacted, 0)


PATHS = {
    "/client/email": (
        '{"client": {"email": "a@b.cd", "id": 1}}',
        '{"client":{"email":"[REDACTED]","id":1}}',
        1,
    ),
    "/clients/email": (
        '{"clients": [{"email": "x"}, {"email": null}, {"email": 7}]}',
        '{"clients":[{"email":"[REDACTED]"},{"email":null},{"email":"[REDACTED]"}]}',
        2,
    ),
    "/client": ('{"other": 1.50}', '{"other": 1.50}', 0),
    "*": ('{"a": {"b": 1}}', "{}", 1),
    "secret": ('{"api_key": {"a": 1}, "n": 1.50}', '{"api_key":"[REDACTED]","n":1.50}', 1),
}


@pytest.mark.parametrize("rule", PATHS)
def test_paths_of_json_are_blanked(rule: str) -> None:
    """A field that is named, and still there; a number that is another one afterwards."""
    content, expected, places = PATHS[rule]
    assert redact(content, [rule], is_json=True) == (expected, places)
    assert redact(expected, [rule], is_json=True) == (expected, 0)


def test_a_text_is_blanked_as_a_whole() -> None:
    """A text that must not be there, and is half there."""
    assert redact("because", ["*"], is_json=False) == ("[REDACTED]", 1)
    assert redact("[REDACTED]", ["*"], is_json=False) == ("[REDACTED]", 0)
    assert redact("because", [], is_json=False) == ("because", 0)


def test_a_long_word_costs_no_more_than_its_length() -> None:
    """A picture in a message that a redaction looks at for minutes."""
    for word in ("a" * 300_000, "a." * 150_000, "a@" * 150_000, "@" * 300_000):
        assert redact(word, ["email", "secret"], is_json=False) == (word, 0)
