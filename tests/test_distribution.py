"""What binds the SQL to a later cluster, checked without one: keys, layouts and statements.

A Citus cluster leaves out the files numbered ...90. So most of this runs on a database without them.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from typing import TYPE_CHECKING

import psycopg
import pytest
from conftest import ROOT
from faults import staging_sql
from pglast import ast as nodes
from pglast import parse_sql
from pglast.parser import ParseError
from pglast.visitors import Visitor

from orchestration import bootstrap, dbt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import TestServer

SOURCES = sorted((dbt.PROJECT / "orchestration").rglob("*.py"))
STATEMENT = re.compile(
    r"\s*(select|insert into|update|delete from|with|merge into|copy|truncate|set local"
    r"|(create|alter|drop) (database|schema|table|view|index|role))\s"
)
CLOCKS = {"now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday"}


@pytest.fixture(scope="module")
def cluster_url(server18: TestServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with what a cluster would get: all files but those numbered ...90."""
    folder = tmp_path_factory.mktemp("cluster") / "bootstrap_sql"
    shutil.copytree(bootstrap.FOLDER, folder)
    for path in folder.glob("?90_*.sql"):
        path.unlink()
    url = server18.empty_database()
    with psycopg.connect(url, autocommit=True) as connection:
        bootstrap.bootstrap(connection, folder)
    return url


@pytest.fixture
def cluster(cluster_url: str) -> Iterator[psycopg.Connection]:
    """One transaction on that database, rolled back at the end."""
    with psycopg.connect(cluster_url) as connection:
        yield connection
        connection.rollback()


def violations(connection: psycopg.Connection) -> set[tuple[str, str | None, str]]:
    """Read what the view finds."""
    return set(
        connection.execute(
            "select table_name, object_name::text, problem from ops.distribution_violations"
        ).fetchall()
    )


def test_what_a_cluster_gets_breaks_no_rule(cluster: psycopg.Connection) -> None:
    """A key, trigger or policy that stands in the way once one server is not enough."""
    found = violations(cluster)
    assert not found, f"mend it, or move it to the schema's file ...90: {sorted(found, key=str)}"


def test_what_a_cluster_leaves_out_is_found_on_plain_postgresql(raw: psycopg.Connection) -> None:
    """A view that is empty because it sees nothing."""
    problems = {problem for *_, problem in violations(raw)}
    assert problems == {
        "does not begin with the distribution column",
        "is a trigger",
        "looks at another table",
        "sets null or default",
    }


@pytest.mark.parametrize(
    ("statement", "table", "name", "problem"),
    [
        ("create table chat.notes (id int)", "chat.notes", None, "has no layout"),
        ("drop table chat.message_versions cascade", "chat.message_versions", None,
         "has a layout, but is not there"),
        ("alter table agentic.trust_metrics drop constraint trust_metrics_pkey",
         "agentic.trust_metrics", None, "has no primary key"),
        ("alter table agentic.trust_metrics drop constraint trust_metrics_pkey;"
         "alter table agentic.trust_metrics alter session_id drop not null",
         "agentic.trust_metrics", "session_id", "is no column, or may be null"),
        ("alter table chat.message_versions rename session_id to session",
         "chat.message_versions", "session_id", "is no column, or may be null"),
        ("alter table observability.traces add constraint k unique (execution_id)",
         "observability.traces", "k", "does not begin with the distribution column"),
        ("create unique index k on observability.traces (execution_id, trace_id)",
         "observability.traces", "k", "does not begin with the distribution column"),
        ("alter table agentic.trust_metrics add constraint k"
         " exclude using btree (metric_id with =)",
         "agentic.trust_metrics", "k", "does not begin with the distribution column"),
        ("alter table observability.traces add constraint k foreign key (user_id)"
         " references observability.profiles on delete set null",
         "observability.traces", "k", "sets null or default"),
        ("alter table chat.agents add column boss uuid constraint k references chat.agents",
         "chat.agents", "k", "leads to its own table"),
        ("alter table observability.cost_records add column t uuid"
         " constraint k references observability.traces",
         "observability.cost_records", "k", "leads out of its co-location group"),
        ("alter table agentic.agent_sessions add constraint u unique (session_id, agent_id);"
         "alter table agentic.trust_metrics add constraint k foreign key (metric_id, session_id)"
         " references agentic.agent_sessions (session_id, agent_id)",
         "agentic.trust_metrics", "k", "leads out of its co-location group"),
        ("alter table chat.agents add column s uuid"
         " constraint k references chat.conversation_sessions",
         "chat.agents", "k", "leads out of its co-location group"),
        ("alter table chat.agents add column v text constraint k references ops.loaded_runs",
         "chat.agents", "k", "leads to a local table"),
        ("alter table ops.loaded_runs add column t uuid"
         " constraint k references observability.traces",
         "ops.loaded_runs", "k",
         "would not be checked: it leads from a local to a distributed table"),
        ("create trigger k before update on observability.traces"
         " for each row execute function ops.stamp_change()",
         "observability.traces", "k", "is a trigger"),
        ("create policy k on observability.spans"
         " using (trace_id in (select t.trace_id from observability.traces as t))",
         "observability.spans", "k", "looks at another table"),
    ],
)  # fmt: skip
def test_each_broken_rule_is_found(
    cluster: psycopg.Connection, statement: str, table: str, name: str | None, problem: str
) -> None:
    """A rule that the view only seems to watch."""
    cluster.execute(statement.encode())
    assert (table, name, problem) in violations(cluster)


@pytest.mark.parametrize(
    "statement",
    [
        "alter table agentic.trust_metrics add constraint k unique (session_id, metric_type)",
        "alter table chat.chat_messages_v2 add constraint k foreign key (session_id)"
        " references chat.conversation_sessions on delete cascade",
        "alter table observability.traces add constraint k foreign key (user_id)"
        " references observability.profiles on delete cascade",
        "alter table ops.loaded_runs add column p uuid references observability.profiles",
    ],
)
def test_what_a_cluster_can_do_is_let_through(cluster: psycopg.Connection, statement: str) -> None:
    """A rule so strict that people stop to look at the view."""
    cluster.execute(statement.encode())
    assert violations(cluster) == set()


UNIQUE_INDEXES = """
select
    l.table_name, l.distribution_column,
    (
        select string_agg(pg_get_indexdef(i.indexrelid, n, true), ', ')
        from generate_series(1, i.indnkeyatts) as n
    )
from ops.table_layouts as l
join pg_index as i on i.indrelid = l.table_name::regclass and i.indisunique
where l.layout = 'distributed'
"""


def shard(connection: psycopg.Connection, table: str, key: str, unique: str) -> None:
    """Spread a copy of a table by its key, as a cluster does, with one unique index."""
    for statement in (
        f"create table shards (like {table}) partition by hash ({key})",
        f"create unique index on shards ({unique})",
        "drop table shards",
    ):
        connection.execute(statement.encode())


def test_every_unique_key_of_a_spread_table_holds_across_shards(
    cluster: psycopg.Connection,
) -> None:
    """A unique key that each node would check for itself alone: PostgreSQL refuses it on shards too."""
    unique_indexes = cluster.execute(UNIQUE_INDEXES).fetchall()
    assert len(unique_indexes) > 20
    for table, key, columns in unique_indexes:
        shard(cluster, table, key, columns)
    with pytest.raises(psycopg.errors.FeatureNotSupported):  # the negative control
        shard(cluster, "observability.traces", "trace_id", "execution_id")


class Lint(Visitor):
    """Collects what a cluster refuses in parsed statements. The names of its methods are pglast's."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def visit(self, _: object, node: nodes.Node) -> None:
        """Judge a node of the tree."""
        match node:
            case nodes.MergeStmt():
                self.problems.append("merge: delete and insert, or insert on conflict")
            case nodes.GroupingSet():
                self.problems.append("rollup, cube or grouping sets: add up each level by itself")
            case nodes.WithClause(recursive=True):
                self.problems.append("with recursive")
            case nodes.LockingClause():
                self.problems.append("for update")
            case nodes.UpdateStmt() | nodes.DeleteStmt() | nodes.OnConflictClause():
                if reads_clock(node):
                    self.problems.append("a clock in a write: pass the moment as a parameter")


def reads_clock(tree: nodes.Node) -> bool:
    """Tell whether a part of a statement depends on when it runs."""
    found: list[nodes.Node] = []

    class Clocks(Visitor):
        def visit(self, _: object, node: nodes.Node) -> None:
            match node:
                case nodes.SQLValueFunction():  # current_date and the like
                    found.append(node)
                case nodes.FuncCall(funcname=(*_, nodes.String(sval=name))) if name in CLOCKS:
                    found.append(node)

    Clocks()(tree)
    return bool(found)


def lint(statements: str) -> list[str]:
    """Say what a cluster would refuse in a string that is sent as one."""
    try:
        parsed = parse_sql(statements)
    except ParseError as error:
        return [f"no SQL: {error}"]
    judge = Lint()
    judge(parsed)
    return judge.problems + ["several statements in one string"] * (len(parsed) > 1)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("merge into t using u on t.id = u.id when matched then delete", "merge"),
        ("select 1; merge into t using u on t.id = u.id when matched then delete", "merge"),
        ("select 1; select 2", "several statements"),
        ("select a, count(*) from t group by rollup (a)", "rollup"),
        ("select * from (select a from t group by cube (a)) as x", "cube"),
        ("with recursive r as (select 1 union select * from r) select * from r", "recursive"),
        ("select * from t for no key update", "for update"),
        ("delete from t where at < now() - interval '1 day'", "clock"),
        ("update t set at = current_timestamp", "clock"),
        ("with gone as (delete from t where at < pg_catalog.now() returning *) select 1", "clock"),
        ("insert into t values (1) on conflict (id) do update set at = clock_timestamp()", "clock"),
    ],
)
def test_the_lint_finds_each_forbidden_statement(statement: str, problem: str) -> None:
    """A lint that is always content."""
    [found] = [found for found in lint(statement) if not found.startswith("several")] or lint(
        statement
    )
    assert problem in found


@pytest.mark.parametrize(
    "statement",
    [
        "select now(), current_date",
        "insert into t values (now()) on conflict (id) do update set at = excluded.at",
        "delete from t where at < $1",
    ],
)
def test_the_lint_lets_the_rest_through(statement: str) -> None:
    """A lint that forbids what a cluster can do."""
    assert lint(statement) == []


def test_no_model_needs_what_a_cluster_refuses(module_url: str) -> None:
    """A model or test that fails on the day the data is spread."""
    queries = {name: code for name, code in staging_sql(module_url, "*").items() if code}
    assert len(queries) > 200
    found = {name: problems for name, code in queries.items() if (problems := lint(code))}
    assert not found, f"write these otherwise: {found}"


def test_no_model_is_built_by_a_merge() -> None:
    """An incremental model whose first build works and whose second one is a MERGE."""
    dbt.parse()
    manifest = json.loads((dbt.TARGET / "manifest.json").read_text())
    ours = "macro.agentbooks.materialization_incremental_postgres"
    assert ours in manifest["macros"], "dbt's own incremental materialization may MERGE"
    refresh = (ROOT / "bootstrap_sql" / "070_refresh.sql").read_text()
    assert not re.search(r"\bmerge\s+into\b", refresh, re.IGNORECASE)


def statements_of(source: str) -> Iterator[str]:
    """Find the SQL in a Python file, with something in the place of what is filled in later."""
    parts: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts.update(node.values)
            text = "".join(
                str(v.value) if isinstance(v, ast.Constant) else "x" for v in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            text = node.value
        else:
            continue
        if STATEMENT.match(text):
            # Where no name can stand.
            text = text.replace("{direction}", "desc").replace("set {}", "set x = null")
            yield re.sub(r"\{\w*\}", "x", re.sub(r"%(\(\w+\))?s", "null", text))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_program_sends_what_a_cluster_refuses(path: Path) -> None:
    """A loader or job that works until the data is spread."""
    found = {
        statement: problems
        for statement in statements_of(path.read_text())
        if (problems := lint(statement))
    }
    assert not found, f"write this otherwise: {found}"


def test_the_statements_of_programs_are_found() -> None:
    """A lint that reads no statement, and so finds none at fault."""
    assert sum(len(list(statements_of(path.read_text()))) for path in SOURCES) > 30
