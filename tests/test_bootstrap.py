"""bootstrap_sql applies, verifies and reverts on every supported server, and says why when it cannot."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from conftest import BINARIES, TestServer

from orchestration import bootstrap, catalog
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg

    Connect = Callable[[str], psycopg.Connection]

VERSIONS = [change.version for change in bootstrap.read_changes()]
LAST = VERSIONS[-1]

OUR_OBJECTS = """
select c.oid, c.relkind, c.oid::regclass::text, obj_description(c.oid, 'pg_class')
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspowner = 'agentbooks_owner'::regrole
    and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
union all
select p.oid, 'f', p.oid::regprocedure::text, obj_description(p.oid, 'pg_proc')
from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
where n.nspowner = 'agentbooks_owner'::regrole
order by 3
"""


def objects(connection: psycopg.Connection) -> set[tuple[str, str, str]]:
    """Read everything that bootstrap_sql has made: kind, name and definition."""
    return {(*key, definition) for key, definition in catalog.objects(connection).items()}


def differences(connection: psycopg.Connection) -> list[str]:
    """What differs from what bootstrap_sql has made, a line per object."""
    return [line for line in catalog.lines(catalog.compare(connection)) if ": " in line]


def assert_equal(found: set[tuple[str, str, str]], expected: set[tuple[str, str, str]]) -> None:
    """Fail with what is missing and what is left over."""
    missing, left = sorted(expected - found), sorted(found - expected)
    assert not missing, f"missing, or different: {missing[:5]}; instead {left[:5]}"
    assert not left, f"left behind: {left[:5]}"


def states(connection: psycopg.Connection) -> set[str]:
    """What the changes' states are, each once."""
    return {row.state for row in bootstrap.status(connection)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of bootstrap_sql that a test may spoil."""
    return shutil.copytree(bootstrap.FOLDER, tmp_path / "bootstrap_sql")


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """A bootstrap_sql with its first file alone."""
    folder = tmp_path / "bootstrap_sql"
    copy_change(VERSIONS[0], folder)
    return folder


def copy_change(version: str, folder: Path) -> None:
    """Copy a change with its companions."""
    for part in (".", "revert", "verify"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(bootstrap.FOLDER / part / f"{version}.sql", folder / part)


def write_change(folder: Path, version: str, deploy: str, verify: str = "select 1") -> None:
    """Write a change whose revert does nothing."""
    (folder / f"{version}.sql").write_text(deploy)
    (folder / "revert" / f"{version}.sql").write_text("select 1")
    (folder / "verify" / f"{version}.sql").write_text(verify)


# Applying


def test_everything_applies_and_verifies(server: TestServer, connect: Connect) -> None:
    """A file that only runs on the server its author had, or a verify script that is never run."""
    connection = connect(server.empty_database())
    applied = bootstrap.bootstrap(connection)
    assert applied == [row.version for row in bootstrap.status(connection) if row.applied_at]
    assert [row for row in bootstrap.verify(connection) if row[1]] == []
    assert "pending" not in states(connection)


def test_a_second_run_applies_nothing(server: TestServer, connect: Connect) -> None:
    """A bootstrap that fails, or changes something, when it is run before every start."""
    connection = connect(server.database())
    before = objects(connection)
    assert bootstrap.bootstrap(connection) == []
    assert_equal(objects(connection), before)


def test_without_pgvector_only_the_files_that_need_it_are_skipped(
    server15: TestServer, connect: Connect
) -> None:
    """PostgreSQL 15 refused as a whole, or a file left out that nobody hears of."""
    connection = connect(server15.empty_database())
    if bootstrap._vector_available(connection):
        pytest.skip("this PostgreSQL 15 has pgvector")
    applied = bootstrap.bootstrap(connection)
    need_vector = {c.version for c in bootstrap.read_changes() if c.needs_vector}
    assert need_vector, "mark the files that need pgvector with a first line `-- requires: vector`"
    assert set(applied) == set(VERSIONS) - need_vector
    skipped = {row.version for row in bootstrap.status(connection) if row.state == "skipped"}
    assert skipped == need_vector


def test_with_pgvector_nothing_is_skipped(raw: psycopg.Connection) -> None:
    """Vector columns missing where they could be."""
    assert states(raw) == {"applied"}


def test_each_file_runs_by_hand_in_one_transaction(server: TestServer, connect: Connect) -> None:
    """Files that only our runner can apply: `psql -1 -f` must be enough in an emergency."""
    url = server.empty_database()
    connection = connect(url)
    has_vector = bootstrap._vector_available(connection)
    versions = [c.version for c in bootstrap.read_changes() if has_vector or not c.needs_vector]

    def run(*files: Path) -> None:
        psql = str(BINARIES[server.major] / "psql")
        arguments = [argument for file in files for argument in ("-f", str(file))]
        result = subprocess.run(
            [psql, "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", url, *arguments],
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr

    for version in versions:
        run(bootstrap.FOLDER / f"{version}.sql")
    run(*(bootstrap.FOLDER / "verify" / f"{version}.sql" for version in versions))
    by_hand = objects(connection)
    assert_equal(by_hand, objects(connect(server.database())))
    for version in reversed(versions):
        run(bootstrap.FOLDER / "revert" / f"{version}.sql")
    assert objects(connection) == set()


# Reverting


def test_reverting_everything_and_going_forward_gives_the_same_catalog(
    server: TestServer, connect: Connect
) -> None:
    """A revert that leaves something behind, on which the next bootstrap stumbles."""
    connection = connect(server.database())
    before = objects(connection)
    assert len(before) > 1000, "the comparison reads too little"
    reverted = bootstrap.revert(connection, "all")
    assert objects(connection) == set()
    assert sorted(reverted) == bootstrap.bootstrap(connection)
    assert_equal(objects(connection), before)


def test_each_revert_undoes_exactly_its_own_file(
    server18: TestServer, connect: Connect, tmp_path: Path
) -> None:
    """A revert that takes more or less than its file made, hidden by the reverts that follow it."""
    connection = connect(server18.empty_database())
    after: dict[str, set[tuple[str, str, str]]] = {}
    for version in VERSIONS:
        copy_change(version, tmp_path)
        assert bootstrap.bootstrap(connection, tmp_path) == [version]
        after[version] = objects(connection)
    for version, newer in reversed(list(itertools.pairwise(VERSIONS))):
        assert bootstrap.revert(connection, version) == [newer]
        # What held data is kept aside until its columns come back.
        found = {row for row in objects(connection) if "enhanced_span_columns_kept" not in row[1]}
        assert_equal(found, after[version])
    assert bootstrap.bootstrap(connection) == VERSIONS[1:]
    assert_equal(objects(connection), after[LAST])


def test_reverting_to_what_is_not_applied_is_refused(raw: psycopg.Connection) -> None:
    """A typing error in `--revert` that undoes everything."""
    with pytest.raises(AgentbooksError, match="999_nothing is not an applied change"):
        bootstrap.revert(raw, "999_nothing")
    assert states(raw) == {"applied"}


def test_a_failing_revert_leaves_its_change_in_place(
    server18: TestServer, connect: Connect, folder: Path
) -> None:
    """A change half undone, and no longer in the list."""
    connection = connect(server18.database())
    before = objects(connection)
    revert = folder / "revert" / f"{LAST}.sql"
    revert.write_text(revert.read_text() + "\nselect nonsense;\n")
    with pytest.raises(AgentbooksError, match=rf"{LAST} line \d+ could not be reverted"):
        bootstrap.revert(connection, VERSIONS[-2], folder)
    assert_equal(objects(connection), before)
    assert states(connection) == {"applied"}


# What is refused, and how


def test_an_edited_applied_file_is_named(
    server18: TestServer, connect: Connect, folder: Path
) -> None:
    """Two databases of one version that differ, because an applied file was edited."""
    connection = connect(server18.database())
    edited = folder / f"{VERSIONS[3]}.sql"
    edited.write_text(edited.read_text() + "\n-- a second thought\n")
    with pytest.raises(AgentbooksError, match=f"{VERSIONS[3]}.sql was edited"):
        bootstrap.bootstrap(connection, folder)
    changed = [row for row in bootstrap.status(connection, folder) if row.state == "changed since"]
    assert [row.version for row in changed] == [VERSIONS[3]]


def test_a_failing_change_leaves_nothing_behind_and_says_where(
    server: TestServer, connect: Connect, small_folder: Path
) -> None:
    """A half-made schema that neither bootstrap nor revert can deal with."""
    connection = connect(server.empty_database())
    write_change(
        small_folder,
        "010_broken",
        "-- ä: lines are counted in characters\ncreate table ops.left_behind ();\nselect nonsense;\n",
    )
    with pytest.raises(
        AgentbooksError, match=r'010_broken line 3 failed.*"nonsense" does not exist'
    ):
        bootstrap.bootstrap(connection, small_folder)
    names = {name for _, name, _ in objects(connection)}
    assert "ops.schema_versions" in names, "the changes before it stay"
    assert "ops.left_behind" not in names
    found = {row.version: row.state for row in bootstrap.status(connection, small_folder)}
    assert found == {VERSIONS[0]: "applied", "010_broken": "pending"}

    write_change(small_folder, "010_broken", "create table ops.left_behind ();")
    assert bootstrap.bootstrap(connection, small_folder) == ["010_broken"]


def test_a_change_that_does_not_verify_is_not_applied(
    server18: TestServer, connect: Connect, small_folder: Path
) -> None:
    """A change that runs without an error and does not do what it should."""
    connection = connect(server18.empty_database())
    write_change(small_folder, "010_empty", "select 1", verify="select from ops.not_made")
    with pytest.raises(AgentbooksError, match=r'010_empty.*"ops.not_made" does not exist'):
        bootstrap.bootstrap(connection, small_folder)


def test_a_change_does_not_keep_the_role_it_took(
    server18: TestServer, connect: Connect, small_folder: Path
) -> None:
    """The next file run as the owner, who may not create a schema."""
    connection = connect(server18.empty_database())
    write_change(small_folder, "010_role", "set local role agentbooks_owner; select 1;")
    bootstrap.bootstrap(connection, small_folder)
    assert connection.execute("select current_user").fetchone() == ("postgres",)


def test_the_second_of_two_at_once_is_told(
    server: TestServer, connect: Connect, small_folder: Path
) -> None:
    """Two deployments that start together and apply the same file twice."""
    url = server.empty_database()
    connection, watcher = connect(url), connect(url)
    write_change(small_folder, "010_slow", "select pg_sleep(1)")
    first = threading.Thread(target=bootstrap.bootstrap, args=(connect(url), small_folder))
    first.start()
    try:
        while watcher.execute(
            "select count(*) from pg_stat_activity where query = 'select pg_sleep(1)'"
            " and state = 'active' and datname = current_database()"
        ).fetchone() == (0,):
            assert first.is_alive(), "the first one failed"
            time.sleep(0.01)
        with pytest.raises(AgentbooksError, match="another bootstrap of this database is running"):
            bootstrap.bootstrap(connection, small_folder)
    finally:
        first.join()
    assert bootstrap.bootstrap(connection, small_folder) == []


def test_a_database_of_a_newer_version_is_left_alone(
    server18: TestServer, connect: Connect
) -> None:
    """An old checkout that applies, or reverts, around changes it does not know."""
    connection = connect(server18.database())
    connection.execute(
        "insert into ops.schema_changes (version, action, checksum, execution_time_ms)"
        " values ('998_future', 'applied', repeat('0', 64), 1)"
    )
    for command in (
        lambda: bootstrap.bootstrap(connection),
        lambda: bootstrap.status(connection),
        lambda: bootstrap.revert(connection, "all"),
    ):
        with pytest.raises(AgentbooksError, match="998_future applied, which is not in"):
            command()
    connection.execute("delete from ops.schema_changes where version = '998_future'")
    assert states(connection) == {"applied"}


@pytest.mark.parametrize("companion", ["revert", "verify"])
def test_a_missing_companion_is_named(folder: Path, companion: str) -> None:
    """A change that cannot be undone, found out when it has to be."""
    (folder / companion / f"{VERSIONS[2]}.sql").unlink()
    with pytest.raises(AgentbooksError, match=rf"{VERSIONS[2]}.sql has no {companion}/"):
        bootstrap.read_changes(folder)


def test_no_companion_stands_alone() -> None:
    """A revert or verify script under a name that nothing runs."""
    for companion in ("revert", "verify"):
        names = sorted(path.stem for path in (bootstrap.FOLDER / companion).glob("*.sql"))
        assert names == VERSIONS, f"{companion}/ and bootstrap_sql/ must hold the same names"


def test_numbers_are_unique(folder: Path) -> None:
    """Two branches that both add a file 123, whose order then hangs on their names."""
    write_change(folder, f"{VERSIONS[2].split('_')[0]}_another", "select 1")
    with pytest.raises(AgentbooksError, match=f"share the number {VERSIONS[2].split('_')[0]}"):
        bootstrap.read_changes(folder)


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    """An installed package without its SQL that reports an up-to-date database."""
    with pytest.raises(AgentbooksError, match="no SQL files"):
        bootstrap.read_changes(tmp_path)


def test_a_role_without_rights_gets_one_sentence(server: TestServer, connect: Connect) -> None:
    """A traceback for whoever forgot which user to connect as."""
    ours, empty = server.database(), server.empty_database()
    connect(ours).execute(f"create role {(outsider := f'outsider_{server.made}')} login".encode())
    connection = connect(empty.replace("postgres@", f"{outsider}@"))
    with pytest.raises(AgentbooksError, match="such as a superuser") as refused:
        bootstrap.bootstrap(connection)
    assert "\n" not in str(refused.value)

    connection = connect(ours.replace("postgres@", f"{outsider}@"))
    for command in (
        lambda: bootstrap.bootstrap(connection),
        lambda: bootstrap.status(connection),
        lambda: bootstrap.verify(connection),
        lambda: bootstrap.revert(connection, "all"),
    ):
        with pytest.raises(AgentbooksError, match=f"{outsider} may not see what is applied"):
            command()


@pytest.mark.parametrize("major", [18, 16])
def test_an_administrator_who_is_no_superuser_can_bootstrap(
    major: int, request: pytest.FixtureRequest, connect: Connect
) -> None:
    """Managed servers, which give nobody a superuser."""
    server: TestServer = request.getfixturevalue(f"server{major}")
    server.database()  # makes the roles
    url, name = server.empty_database(), f"administrator_{server.made}"
    superuser = connect(url)
    database = superuser.info.dbname
    superuser.execute(
        "create extension vector;"
        f"create role {name} login createrole bypassrls;"
        f"alter database {database} owner to {name};"
        # What PostgreSQL gives the creator of a role.
        f"grant agentbooks_owner to {name} with admin true, set false, inherit false;".encode()
    )
    connection = connect(url.replace("postgres@", f"{name}@"))
    assert bootstrap.bootstrap(connection) == VERSIONS
    assert [row for row in bootstrap.verify(connection) if row[1]] == []
    bootstrap.revert(connection, "all")
    assert objects(connection) == set()


# What the files make


def test_verify_notices_each_object_that_is_missing(raw: psycopg.Connection) -> None:
    """A verify script that passes although what its file makes was dropped by hand."""
    kinds = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "routine"}
    unnoticed = []
    for _, kind, name, _ in raw.execute(OUR_OBJECTS).fetchall():
        if name in (
            "ops.schema_versions",
            "ops.schema_changes",
        ):  # without it nothing counts as applied
            continue
        with raw.transaction(force_rollback=True):
            raw.execute("set local client_min_messages = error")
            raw.execute(f"drop {kinds[kind]} {name} cascade".encode())
            if not any(missing for _, missing in bootstrap.verify(raw)):
                unnoticed.append(name)
    assert not unnoticed, f"let a verify script fail without {', '.join(unnoticed)}"


def test_verify_names_what_is_missing(raw: psycopg.Connection) -> None:
    """A failed check that leaves one guessing."""
    raw.execute("drop table ops.rejected_records")
    missing = {version: text for version, text in bootstrap.verify(raw) if text}
    assert missing == {"040_load_registry": 'relation "ops.rejected_records" does not exist'}


def test_the_comparison_names_what_is_missing_changed_and_added(raw: psycopg.Connection) -> None:
    """A restored or hand-mended database that is thought to be what bootstrap_sql makes."""
    assert differences(raw) == []
    raw.execute(
        "drop index chat.idx_messages_session;"
        "revoke select on agentic.agents from service_role;"
        "alter table raaf.raaf_tracing_traces add column remark text;"
        "alter table agentic.users disable row level security"
    )
    assert differences(raw) == [
        "changed: table agentic.agents (500_agentic_agents)",
        "changed: table agentic.users (500_agentic_agents)",
        "missing: index chat.idx_messages_session (410_chat_messages)",
        "not of bootstrap_sql: column raaf.raaf_tracing_traces.remark",
    ]


def test_a_later_change_does_not_hide_what_was_altered_by_hand(
    server18: TestServer, connect: Connect, folder: Path
) -> None:
    """Drift that is recorded as expected, because the next change took stock of everything."""
    connection = connect(server18.database())
    connection.execute("drop index chat.idx_messages_session")
    write_change(folder, "930_later", "create index later on chat.users (email)")
    assert bootstrap.bootstrap(connection, folder) == ["930_later"]
    drift = "missing: index chat.idx_messages_session (410_chat_messages)"
    assert differences(connection) == [drift]
    connection.execute("drop index chat.later")
    assert differences(connection) == [drift, "missing: index chat.later (930_later)"]


def test_a_revert_takes_its_objects_from_the_list(server: TestServer, connect: Connect) -> None:
    """A database that was reverted on purpose and is reported as broken."""
    connection = connect(server.database())
    bootstrap.revert(connection, "100_raaf_traces")
    assert differences(connection) == []


def test_every_change_is_kept_in_the_audit(raw: psycopg.Connection) -> None:
    """A schema that was altered and altered back, and nobody knows when or by whom."""
    bootstrap.revert(raw, VERSIONS[-2])
    bootstrap.bootstrap(raw)
    log = raw.execute(
        "select version, action, changed_by from ops.schema_changes order by change_number desc"
    ).fetchmany(3)
    assert log == [
        (LAST, "applied", "postgres"),
        (LAST, "reverted", "postgres"),
        (LAST, "applied", "postgres"),
    ]


def test_everything_has_a_comment(raw: psycopg.Connection) -> None:
    """A table, column, view or function whose meaning nobody wrote down."""
    bare = [name for *_, name, comment in raw.execute(OUR_OBJECTS).fetchall() if not comment]
    columns = raw.execute(
        """
        select format('%s.%s', c.oid::regclass, a.attname)
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspowner = 'agentbooks_owner'::regrole
            and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
            and coalesce(col_description(c.oid, a.attnum), '') = ''
        order by 1
        """
    ).fetchall()
    bare += [name for (name,) in columns]
    assert not bare, f"comment on {', '.join(bare)}"


def test_every_raw_table_has_row_level_security(raw: psycopg.Connection) -> None:
    """One table, or one partition, through which a user reads everybody's rows."""
    open_tables = raw.execute(
        """
        select c.oid::regclass::text
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        where n.nspowner = 'agentbooks_owner'::regrole and n.nspname <> 'ops'
            and c.relkind in ('r', 'p') and not c.relrowsecurity
        """
    ).fetchall()
    assert open_tables == []


def test_nobody_has_rights_on_a_partition(raw: psycopg.Connection) -> None:
    """A partition read by its own name, past the policies of its table."""
    raw.execute(
        "select ops.create_month_partitions('observability.spans', '2020-01-01', '2020-01-01')"
    )
    granted = raw.execute(
        """
        select c.oid::regclass::text, c.relacl::text
        from pg_class as c
        where c.relispartition
            and exists (
                select from aclexplode(c.relacl) as a where a.grantee <> c.relowner
            )
        """
    ).fetchall()
    assert granted == []


def test_nothing_is_granted_to_everyone(raw: psycopg.Connection) -> None:
    """A right that PostgreSQL, or a hasty grant, gives every role of the server."""
    granted = raw.execute(
        """
        select c.oid::regclass::text
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        cross join aclexplode(c.relacl) as a
        where n.nspowner = 'agentbooks_owner'::regrole and a.grantee = 0
        union all
        select n.nspname
        from pg_namespace as n
        cross join aclexplode(n.nspacl) as a
        where n.nspowner = 'agentbooks_owner'::regrole and a.grantee = 0
        """
    ).fetchall()
    assert granted == []
