"""What is in clear is encrypted wherever it is, nothing else changes, and without a key nobody reads it."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from conftest import ROOT
from faults import value
from raw_rows import ONE, ROWS, insert
from residue import residue
from test_odd_rows import TEXTS
from typer.testing import CliRunner

from orchestration import cli, cold_archive, database, encryption, erasure, loader, protection
from orchestration.cold_archive import Archive
from orchestration.encryption import FILE_VARIABLE, KEYS_VARIABLE, Cell, Keys
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import TestServer

TABLE, COLUMN = "agentic.agent_decisions", "decision_rationale"
COLD, WARM, HOT, NONE = (f"2020-0{month}-05 12:00+00" for month in (3, 4, 5, 6))
SAID = "Frau Huber hat recht"
FALSE = "abk1.old.AAAA"
KEY = {name: base64.b64encode(name.encode().ljust(32, b".")).decode() for name in ("old", "new")}
OLD, NEW = f"old:{KEY['old']}", f"new:{KEY['new']},old:{KEY['old']}"
# Every column but the protected one, and what is not of the rows themselves.
ROWS_NOW = """
select to_jsonb(d) - 'decision_rationale', d.decision_rationale, d.place
from (
    select *, tableoid::regclass::text as place from agentic.agent_decisions
    union all
    select *, tableoid::regclass::text from archive.agentic__agent_decisions
) as d
order by d.decision_id
"""


def texts() -> dict[str, str | None]:
    """Give what decisions say, by their ids."""
    said = [None, "", SAID, FALSE, *TEXTS] * 4
    return {f"{number:08}-0000-4000-8000-000000000000": text for number, text in enumerate(said)}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An empty folder."""
    monkeypatch.setenv(cold_archive.URL_VARIABLE, str(tmp_path / "archive"))
    for name in (KEYS_VARIABLE, FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return Archive.chosen()


@pytest.fixture
def world(
    server18: TestServer,
    archive: Archive,
    connect: Callable[[str], psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> psycopg.Connection:
    """Decisions in a file, an archive, a table and its default partition."""
    url = server18.database()
    monkeypatch.setenv(database.URL_VARIABLE, url)
    connection = connect(url)
    connection.execute(
        "select ops.create_month_partitions('agentic.agent_decisions', '2020-03-01', '2020-05-01')"
    )
    for table, row in ROWS.items():
        if table.startswith("agentic.") and table != TABLE:
            insert(connection, table, row)
    for number, (decision, text) in enumerate(texts().items()):
        day = (COLD, WARM, HOT, NONE)[number % 4]
        row = {"decision_id": decision, "decision_rationale": text, "created_at": day}
        insert(connection, TABLE, ROWS[TABLE] | row)
    connection.execute("select ops.archive_month('agentic.agent_decisions', '2020-04-01')")
    cold_archive.remove_month(connection, archive, TABLE, date(2020, 3, 1))
    connection.execute("delete from ops.changes")
    return connection


def run(*arguments: str) -> tuple[int, str]:
    """Run a command; give its exit code and all it says."""
    result = CliRunner().invoke(cli.app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, AgentbooksError), result.exception
        return 1, result.output + str(result.exception)
    return result.exit_code, result.output


def keys(monkeypatch: pytest.MonkeyPatch, given: str) -> Keys:
    """Give keys to what follows."""
    monkeypatch.setenv(KEYS_VARIABLE, given)
    chosen = Keys.chosen()
    assert chosen
    return chosen


def in_rows(connection: psycopg.Connection) -> dict[str, str | None]:
    """What stands in tables and archives, by decision."""
    rows = connection.execute(ROWS_NOW).fetchall()
    return {row["decision_id"]: content for row, content, _ in rows}


def in_files(connection: psycopg.Connection, archive: Archive) -> dict[str, str | None]:
    """What stands in files, by decision."""
    return {
        decision: content
        for batch in cold_archive.read_month(connection, archive, TABLE, date(2020, 3, 1))
        for decision, content in zip(
            batch["decision_id"].to_pylist(), batch[COLUMN].to_pylist(), strict=True
        )
    }


def clear(keys: Keys, contents: dict[str, str | None]) -> dict[str, str | None]:
    """Decrypt what stands in rows; all that is there must be encrypted with the current key."""
    for content in contents.values():
        assert content is None or content.startswith(f"abk1.{keys.current}.")
    return {
        decision: None if content is None else keys.decrypt(content, cell(decision))
        for decision, content in contents.items()
    }


def cell(decision: str) -> Cell:
    """Where a decision's rationale stands."""
    return Cell(TABLE, COLUMN, {"session_id": ONE, "decision_id": decision})


def all_there(connection: psycopg.Connection, archive: Archive) -> dict[str, str | None]:
    """What stands in tables, archives and files."""
    return in_rows(connection) | in_files(connection, archive)


def test_all_is_encrypted_where_it_is_and_nothing_else_changes(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that is left in clear in an archive or a file; a mart that is dirty for nothing."""
    before = [(row, place) for row, _, place in world.execute(ROWS_NOW).fetchall()]
    expected = all_there(world, archive)
    assert expected == texts()
    chosen = keys(monkeypatch, NEW)
    code, told = run("encrypt", "--take-as-text")
    assert code == 0, told
    assert f"{TABLE}.{COLUMN} in archive.agentic__agent_decisions: " in told
    assert ".parquet: " in told
    assert clear(chosen, all_there(world, archive)) == expected
    assert [(row, place) for row, _, place in world.execute(ROWS_NOW).fetchall()] == before
    assert value(world, "select count(*) from ops.changes") == 0
    assert residue(world, [SAID], archive.url) == []
    assert value(world, "select count(*) from ops.loose_files") == 0
    assert value(world, "select count(*) from ops.lifecycle_transactions") == 0
    known = world.execute("select url from ops.archive_files").fetchall()
    assert [(str(path),) for path in Path(archive.url).rglob("*.parquet")] == known
    assert run("encrypt") == (0, "")
    # The file is as good as the one before it: the month comes back.
    restored = cold_archive.restore_month(world, archive, TABLE, date(2020, 3, 1))
    assert restored == sum(number % 4 == 0 for number in range(len(expected)))
    assert clear(chosen, in_rows(world)) == expected


def test_what_retention_has_blanked_is_left_alone(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that must say something, blanked by one job and encrypted by the other, night after night."""
    world.execute(
        "insert into ops.protected_columns (table_name, column_name, is_encrypted, reason)"
        " values ('agentic.conversation_history', 'content', true, 'said in confidence')"
    )
    strip = (
        "select stripped from ops.strip_payloads('agentic.conversation_history', 'content',"
        """ '{"clock": "created_at", "before": "2030-01-01"}')"""
    )
    keys(monkeypatch, NEW)
    assert value(world, strip) == 1
    assert run("encrypt", "agentic.conversation_history") == (0, "")
    assert value(world, "select content from agentic.conversation_history") == "[removed]"
    assert "1 blanked" in run("encrypt", "agentic.conversation_history", "--status")[1]
    assert value(world, strip) == 0
    assert archive


def test_a_false_token_is_told_left_alone_and_taken_when_asked(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who writes what looks like a token, so that the text stays readable and is called encrypted."""
    chosen = keys(monkeypatch, NEW)
    code, told = run("encrypt")
    false = {decision: text for decision, text in texts().items() if text == FALSE}
    assert code == 1
    assert told.count("does not decrypt") == 4
    assert f"{len(false)} values do not decrypt" in told
    there = all_there(world, archive)
    assert {decision: there[decision] for decision in false} == false
    others = {decision: text for decision, text in there.items() if decision not in false}
    assert clear(chosen, others) == {d: t for d, t in texts().items() if d not in false}
    code, told = run("encrypt", "--status")
    assert code == 1
    assert " that do not decrypt" in told
    assert run("encrypt", "--take-as-text")[0] == 0
    assert clear(chosen, all_there(world, archive)) == texts()


def test_the_status_says_which_key_is_needed_where(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is thrown away, and with it what a file says."""
    before = all_there(world, archive)
    code, told = run("encrypt", "--status")
    assert code == 0, told
    assert "in clear" in told
    assert all_there(world, archive) == before
    assert value(world, "select count(*) from ops.encryption_keys") == 0
    keys(monkeypatch, OLD)
    run("encrypt", "--take-as-text")
    keys(monkeypatch, NEW)
    code, told = run("encrypt", "--status")
    assert code == 0, told
    assert "under key old" in told
    assert "(current)" not in told
    keys(monkeypatch, f"new:{KEY['new']}")
    code, told = run("encrypt", "--status")
    assert code == 1
    assert told.count("under key old (not given)") == 3
    assert "is encrypted with key old that is not given" in told
    there = all_there(world, archive)
    code, told = run("encrypt", "--take-as-text")
    assert code == 1
    assert all_there(world, archive) == there, (
        "a token of a key that is missing was taken for a text"
    )
    chosen = keys(monkeypatch, NEW)
    assert run("encrypt")[0] == 0
    assert clear(chosen, all_there(world, archive)) == texts()
    code, told = run("encrypt", "--status")
    assert code == 0, told
    assert "Key old is needed by no value here" in told


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", "no key is given; set AGENTBOOKS_KEYS_FILE"),
        (f"old:{KEY['new']}", "key old is another one than before"),
        (f"new:{KEY['old'][:10]}", "keys: key new of AGENTBOOKS_KEYS"),
        (f"new:{KEY['new']}", "is encrypted with key old that is not given"),
    ],
)
def test_without_the_right_key_nothing_is_written(
    world: psycopg.Connection,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    sentence: str,
) -> None:
    """Values that are encrypted with a key nobody has, or twice."""
    keys(monkeypatch, OLD)
    assert run("encrypt", "--take-as-text")[0] == 0
    versions = "select ctid, xmin from agentic.agent_decisions order by decision_id"
    before = world.execute(versions).fetchall()
    files = in_files(world, archive)
    monkeypatch.setenv(KEYS_VARIABLE, given)
    code, told = run("encrypt")
    assert code == 1
    assert sentence in told
    assert KEY["new"][:20] not in told
    assert "Traceback" not in told
    assert world.execute(versions).fetchall() == before
    assert in_files(world, archive) == files


BROKEN: dict[str, Callable[[str], str]] = {
    "cut": lambda token: token[:-5],
    "cut to its name": lambda token: token[:9],
    "changed": lambda token: token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:],
}


@pytest.mark.parametrize("how", [*BROKEN, "swapped"])
def test_a_token_that_is_not_its_rows_is_told_and_not_written(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A damaged token that is encrypted once more, so that nobody sees the damage; another row's reasons."""
    keys(monkeypatch, OLD)
    assert run("encrypt", "--take-as-text")[0] == 0
    there = [item for item in sorted(in_rows(world).items()) if item[1]]
    (first, token), (_, other) = there[0], there[1]
    broken = other if how == "swapped" else BROKEN[how](str(token))
    update = f"update {TABLE} set {COLUMN} = %s where decision_id = %s"
    assert world.execute(update.encode(), (broken, first)).rowcount in (0, 1)
    world.execute(
        f"update archive.agentic__agent_decisions set {COLUMN} = %s where decision_id = %s".encode(),
        (broken, first),
    )
    keys(monkeypatch, NEW)
    code, told = run("encrypt")
    assert code == 1
    assert f"(decision_id={first}, session_id={ONE}) does not decrypt" in told
    assert in_rows(world)[first] == broken
    code, told = run("decrypt", TABLE, COLUMN, "--where", f"decision_id = '{first}'")
    assert code == 1
    assert "does not decrypt" in told


def test_who_writes_meanwhile_wins(
    world: psycopg.Connection,
    connect: Callable[[str], psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A correction that is overwritten by the text it corrects; a writer that waits for the job."""
    chosen = keys(monkeypatch, NEW)
    decision = next(d for d, t in list(texts().items())[2::4] if t)
    second = next(d for d, t in list(texts().items())[2::4] if t and d != decision)
    writer = connect(f"{world.info.dsn}")
    rewrite = protection._Run.rewrite
    is_first = [True]

    def rewrite_late(job: Any, *arguments: Any) -> None:
        if is_first.pop() if is_first else False:
            world.execute(
                f"update {TABLE} set {COLUMN} = 'corrected' where decision_id = %s".encode(),
                (decision,),
            )
            writer.execute("begin")
            writer.execute(
                f"update {TABLE} set {COLUMN} = 'late' where decision_id = %s".encode(), (second,)
            )
            rewrite(job, *arguments)
            writer.execute("commit")
        else:
            rewrite(job, *arguments)

    monkeypatch.setattr(protection._Run, "rewrite", rewrite_late)
    assert run("encrypt", "--take-as-text")[0] == 0
    now = clear(chosen, in_rows(world))
    assert (now[decision], now[second]) == ("corrected", "late")


def test_the_server_never_sees_a_key_and_no_text_anew(
    world: psycopg.Connection, server18: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key or a text in the log of the server, which others read."""
    name = world.info.dbname
    world.execute(f"alter database {name} set log_statement = 'all'".encode())
    world.execute(f"alter database {name} set log_min_duration_statement = 0".encode())
    log = server18.folder / "log"
    size = log.stat().st_size
    keys(monkeypatch, NEW)
    assert run("encrypt", "--take-as-text")[0] == 0
    assert run("encrypt", "--status")[0] == 0
    code, told = run("decrypt", TABLE, COLUMN, "--where", "created_at < '2020-06-01'")
    assert code == 0, told
    assert SAID in told
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(size)
        written = file.read()
    assert "rewrite_values" in written
    assert "abk1.new." in written
    for secret in KEY.values():
        raw = base64.b64decode(secret)
        for shape in (secret, secret.rstrip("="), raw.hex(), raw.decode()):
            assert shape not in written
    assert SAID not in written


def test_who_may_do_retention_may_encrypt_and_nobody_else(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that must run as a superuser, or an application that rewrites what others wrote."""
    for role, purpose in (("keeper", "agentbooks_retention"), ("app", "service_role")):
        world.execute(f"drop role if exists {role}".encode())
        world.execute(f"create role {role} login in role {purpose}".encode())
    url = database.database_url()
    keys(monkeypatch, NEW)
    monkeypatch.setenv(database.URL_VARIABLE, url.replace("postgres@", "app@"))
    code, told = run("encrypt")
    assert code == 1
    assert "needs a role in agentbooks_retention" in told
    monkeypatch.setenv(database.URL_VARIABLE, url.replace("postgres@", "keeper@"))
    code, told = run("encrypt", "--take-as-text")
    assert code == 0, told
    code, told = run("decrypt", TABLE, COLUMN)
    assert code == 0, told
    csv.field_size_limit(1 << 24)
    rows = list(csv.DictReader(io.StringIO(told)))
    there = {d: t for n, (d, t) in enumerate(texts().items()) if n % 4 and t is not None}
    there = {decision: text.replace("\r\n", "\n") for decision, text in there.items()}
    assert {row["decision_id"]: row[COLUMN] for row in rows} == there
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        world.execute(
            "select ops.rewrite_values('agentic.agent_decisions', 'action_taken', 'agentic.agent_decisions',"
            " '{}', '{}', '{}', 0)"
        )


REFUSED = {
    "('raaf.spans', 'name', true, '{}', 'x')": None,
    "('ops.budgets', 'scope_key', true, '{}', 'x')": "is no raw table",
    "('agentic.agent_audit_log', 'user_agent', true, '{}', 'x')": "the log is insert only",
    "('agentic.agent_decisions', 'reasons', true, '{}', 'x')": "is no column of type text or jsonb",
    "('agentic.agent_decisions', 'decision_type', true, '{}', 'x')": "is no column of type text or jsonb",
    "('agentic.agent_decisions', 'input_context', true, '{}', 'x')": "carries index",
    "('chat.datastores', 'config', true, '{}', 'x')": "is searched for persons",
    "('observability.traces', 'query', false, '{phone}', 'x')": "redacts what nobody knows",
    "('observability.traces', 'query', false, '{/a}', 'x')": "redacts what nobody knows",
    "('chat.message_versions', 'content', true, '{}', 'x')": "has the check",
}


@pytest.mark.parametrize("policy", REFUSED)
def test_what_cannot_be_protected_is_refused(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """A column that is encrypted and that something must read; a rule that nobody keeps."""
    insert_policy = f"insert into ops.protected_columns values {policy}"
    sentence = REFUSED[policy]
    if sentence is None:
        with pytest.raises(psycopg.errors.CheckViolation):
            world.execute(insert_policy.encode())
        return
    world.execute(insert_policy.encode())
    keys(monkeypatch, NEW)
    before = in_rows(world)
    code, told = run("encrypt")
    assert code == 1
    assert sentence in told
    assert "nothing was touched" in told
    assert in_rows(world) == before


def test_no_model_reads_what_is_encrypted() -> None:
    """A mart of tokens, or a text that analysts see until it is encrypted."""
    models = [path for path in (ROOT / "models").rglob("*") if path.suffix in (".sql", ".yml")]
    assert [path.name for path in models if COLUMN in path.read_text()] == []
    assert len(models) > 100


def test_what_staging_reads_is_not_encrypted_and_its_redaction_is_a_change(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mart that says something else after a rebuild than after a refresh."""
    world.execute("create schema staging")
    world.execute(
        "create view staging.stg_d as select decision_rationale from history.agentic__agent_decisions"
    )
    keys(monkeypatch, NEW)
    code, told = run("encrypt")
    assert code == 1
    assert "is read by staging.stg_d, which cannot decrypt it" in told
    world.execute("update ops.protected_columns set is_encrypted = false, redacted = '{email}'")
    mail, day = "ada@example.org", date(2020, 5, 5)
    decision = next(d for n, d in enumerate(texts()) if n % 4 == 2)
    world.execute(
        f"update {TABLE} set {COLUMN} = %s where decision_id = %s".encode(),
        (f"ask {mail}", decision),
    )
    warm = next(d for n, d in enumerate(texts()) if n % 4 == 1)
    world.execute(
        f"update archive.agentic__agent_decisions set {COLUMN} = %s where decision_id = %s".encode(),
        (f"ask {mail} or {mail}", warm),
    )
    world.execute("delete from ops.changes")
    changed = f"select change_id from {TABLE} where decision_id = '{decision}'"
    was = value(world, changed)
    code, told = run("encrypt")
    assert code == 0, told
    assert "1 values rewritten, 1 places redacted" in told
    assert "1 values rewritten, 2 places redacted" in told
    assert in_rows(world)[decision] == "ask [REDACTED]"
    assert in_rows(world)[warm] == "ask [REDACTED] or [REDACTED]"
    assert value(world, changed) > was
    dirty = world.execute("select table_name, keys ->> 'day' from ops.changes").fetchall()
    assert sorted(dirty) == [(TABLE, "2020-04-05"), (TABLE, str(day))]
    assert run("encrypt") == (0, "")


def test_a_held_row_is_encrypted_and_not_redacted(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a court has asked for, with a hole in it."""
    world.execute("update ops.protected_columns set redacted = '{*}'")
    erasure.place_hold(
        world, None, None, None, TABLE, (date(2020, 5, 1), date(2020, 5, 31)), "case 7"
    )
    erasure.place_hold(
        world, None, None, None, TABLE, (date(2020, 3, 1), date(2020, 3, 9)), "case 8"
    )
    chosen = keys(monkeypatch, NEW)
    assert run("encrypt", "--take-as-text")[0] == 0
    now = clear(chosen, all_there(world, archive))
    for number, (decision, text) in enumerate(texts().items()):
        is_held = number % 4 in (0, 2)
        assert now[decision] == (text if is_held or text is None else "[REDACTED]")


@pytest.mark.parametrize("step", ["rewrite", "write_anew"])
def test_what_is_held_meanwhile_is_not_redacted(
    world: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A court that asks between the look at a text and its redaction."""
    world.execute("update ops.protected_columns set redacted = '{*}'")
    go_on = getattr(protection._Run, step)
    is_first = [True]

    def held_before(job: Any, *arguments: Any) -> None:
        if is_first.pop() if is_first else False:
            days = (date(2020, 1, 1), date(2020, 12, 31))
            erasure.place_hold(world, None, None, None, TABLE, days, "case 7")
        go_on(job, *arguments)

    monkeypatch.setattr(protection._Run, step, held_before)
    chosen = keys(monkeypatch, NEW)
    run("encrypt", "--take-as-text")
    assert run("encrypt", "--take-as-text")[0] == 0
    assert not is_first
    now = clear(chosen, all_there(world, archive))
    held = in_files(world, archive) if step == "write_anew" else now
    said = {decision: now[decision] for decision in held}
    assert said == {decision: texts()[decision] for decision in held}


def test_json_is_encrypted_as_an_object(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token in a column whose check asks for an object, or a number that comes back as another one."""
    world.execute("delete from ops.protected_columns")
    world.execute(
        "insert into ops.protected_columns values"
        " ('agentic.agent_decisions', 'action_taken', true, '{/who}', 'our own')"
    )
    content = '{"amount": 1.50, "who": "Ada", "big": 12345678901234567890}'
    world.execute(f"update {TABLE} set action_taken = %s".encode(), (content,))
    chosen = keys(monkeypatch, NEW)
    code, told = run("encrypt")
    assert code == 0, told
    found = world.execute(
        f"select decision_id::text, action_taken from {TABLE}".encode()
    ).fetchall()
    for decision, action in found:
        assert list(action) == ["encrypted"]
        place = Cell(TABLE, "action_taken", {"session_id": ONE, "decision_id": decision})
        said = chosen.decrypt_json(action, place)
        assert said == json.loads(content) | {"who": "[REDACTED]"}
        assert "1.50" in chosen.decrypt(action["encrypted"], place)
    assert run("encrypt") == (0, "")


def test_tokens_are_blanked_and_stripped_like_texts(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's reasons that stay because they are encrypted; a term that is not kept."""
    keys(monkeypatch, NEW)
    assert run("encrypt", "--take-as-text")[0] == 0
    due = json.dumps({"clock": "created_at", "before": "2020-05-01"})
    stripped = world.execute(
        "select stripped from ops.strip_payloads(%s, 'decision_rationale', %s)", (TABLE, due)
    ).fetchone()
    assert stripped is not None
    assert stripped[0] > 0
    assert not any(in_rows(world)[d] for n, d in enumerate(texts()) if n % 4 == 1)
    user = ROWS["agentic.users"]["user_id"]
    world.execute("update agentic.agent_sessions set user_id = %s, version = version + 1", (user,))
    assert erasure.erase(world, Archive.chosen(), [user]) is not None
    assert set(all_there(world, Archive.chosen()).values()) == {None}


def test_a_load_encrypts_and_redacts_and_tells_it(
    server18: TestServer,
    connect: Callable[[str], psycopg.Connection],
    tmp_path: Path,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rationale in clear beside the encrypted one, in the raw record or in a table that nobody named."""
    path = tmp_path / "runs.ndjson"
    run_of = {
        "schema": "agent-run/1", "agent": {"name": "a"}, "started_at": "2026-03-01T10:00:00Z",
        "success": True, "decision": {"rationale": SAID, "other": 1}, "task_summary": "ask ada@example.org",
    }  # fmt: skip
    path.write_text("".join(json.dumps(run_of | {"run_id": f"r{n}"}) + "\n" for n in range(3)))
    plain = connect(server18.database())
    assert loader.load_agent_runs(plain, [path]).loaded == 3
    assert value(plain, f"select count(*) from {TABLE} where {COLUMN} = '{SAID}'") == 3
    assert value(plain, "select metadata -> 'decision' from observability.traces limit 1") == {
        "other": 1
    }

    connection = connect(server18.database())
    connection.execute(
        "insert into ops.protected_columns select 'observability.traces', c, false, '{email}', 'GDPR'"
        " from unnest(array['query', 'metadata']) as c"
    )
    chosen = keys(monkeypatch, NEW)
    summary = loader.load_agent_runs(connection, [path])
    assert summary.sentence() == (
        "3 runs loaded, 0 already there, none rejected, 6 places redacted as ops.protected_columns says."
    )
    found = connection.execute(
        f"select session_id, decision_id, {COLUMN} from {TABLE}".encode()
    ).fetchall()
    for session, decision, token in found:
        place = Cell(TABLE, COLUMN, {"session_id": session, "decision_id": decision})
        assert chosen.decrypt(token, place) == SAID
    assert residue(connection, [SAID, "ada@example.org"]) == []
    assert value(connection, "select query from observability.traces limit 1") == "ask [REDACTED]"
    assert loader.load_agent_runs(connection, [path]).already_loaded == 3
    monkeypatch.setenv(KEYS_VARIABLE, f"new:{KEY['old']}")
    with pytest.raises(AgentbooksError, match="key new is another one than before"):
        loader.load_agent_runs(connection, [path])


def test_every_server_encrypts(
    server: TestServer,
    archive: Archive,
    connect: Callable[[str], psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A statement that only the newest server takes."""
    connection = connect(server.database())
    for table, row in ROWS.items():
        if table.startswith("agentic."):
            said = {COLUMN: SAID} if table == TABLE else {}
            insert(connection, table, row | said)
    chosen = keys(monkeypatch, NEW)
    report = protection.encrypt(connection, archive)
    assert [tally.rewritten for tally in report.tallies.values()] == [1]
    assert clear(chosen, in_rows(connection)) == {ONE: SAID}
    assert list(protection.decrypted(connection, TABLE, COLUMN)) == [
        {"decision_id": ONE, "session_id": ONE, COLUMN: SAID}
    ]
    assert not protection.encrypt(connection, archive).undecrypted


def test_an_example_for_applications_works() -> None:
    """The docstring that people copy."""
    assert encryption.__doc__ is not None
    example = encryption.__doc__.partition("    keys = ")[2]
    names: dict[str, Any] = {
        "Keys": type("Chosen", (), {"chosen": staticmethod(lambda: Keys.read(NEW, "test"))}),
        "Cell": Cell, "session_id": "s", "decision_id": "d",
    }  # fmt: skip
    code = "keys = " + "\n".join(line.removeprefix("    ") for line in example.splitlines())
    exec(code, names)  # noqa: S102
    assert names["rationale"].startswith("abk1.new.")
