"""Who reaches which rows: every role, every raw table, every statement, run as the role.

The rules are written down here, not read from the catalog that they test.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from raw_rows import ONE, ROWS, Row, insert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import TestServer

MODELS = Path(__file__).resolve().parent.parent / "models"
SECRET = "key of "  # noqa: S105
HALF = "[" + ",".join(["1"] * 768 + ["0"] * 768) + "]"

# What can come of a statement; the numbers are SQLSTATEs.
ONE_ROW, NO_ROW, DENIED, AUDITED, IN_USE = "1 row", "0 rows", "42501", "AB405", "23001"
READ_ONLY = "55000"  # a view that no one can write
VERBS = {"s": "select", "i": "insert", "u": "update", "d": "delete"}

# What roles above the policies may do to any row of a table, by the kind of table. Most are ordinary;
# sessions and agents are what others hang under and are kept longer.
JOBS = {
    "agentbooks_loader":    {"ordinary": "siu",  "session": "siu",  "agent": "siu", "log": "si", "head": ""},
    "agentbooks_refresher": {"ordinary": "s",    "session": "s",    "agent": "s",   "log": "s",  "head": "s"},
    "agentbooks_retention": {"ordinary": "sd",   "session": "s",    "agent": "s",   "log": "s",  "head": "s"},
    "service_role":         {"ordinary": "siud", "session": "siud", "agent": "siu", "log": "si", "head": "s"},
    "bi_reader":            {"ordinary": "",     "session": "",     "agent": "",    "log": "",   "head": ""},
    "anon":                 {"ordinary": "",     "session": "",     "agent": "",    "log": "",   "head": ""},
}  # fmt: skip
KINDS = {
    "agentic.agent_sessions": "session",
    "agentic.agents": "agent",
    "agentic.agent_audit_log": "log",
    "agentic.schema_versions": "log",
    "agentic.audit_chain_heads": "head",
}
ROLES = (*JOBS, "authenticated")


class Rule(NamedTuple):
    """How a row of a table is found, whose it is, and what an application user may do."""

    key: str
    user_column: str | None
    scope: str  # own: rows of the caller; tenant: rows of the caller's tenant
    verbs: str


RULES = {
    "raaf.raaf_tracing_traces": Rule("trace_id", None, "tenant", "s"),
    "raaf.raaf_tracing_spans": Rule("span_id", None, "tenant", "s"),
    "raaf.raaf_tracing_span_replays": Rule("original_span_id", None, "tenant", "s"),
    "observability.profiles": Rule("id", None, "own", "su"),
    "observability.workflows": Rule("id", "user_id", "own", "siu"),
    "observability.traces": Rule("trace_id", "user_id", "own", "siu"),
    "observability.spans": Rule("span_id", "user_id", "own", "siu"),
    "observability.cost_records": Rule("id", "user_id", "own", "s"),
    "observability.cost_aggregations": Rule("id", "user_id", "own", "s"),
    "observability.usage_logs": Rule("id", "user_id", "own", "s"),
    "traceability.success_patterns": Rule("id", None, "tenant", "s"),
    "traceability.pattern_usage_log": Rule("id", None, "own", "s"),
    "traceability.agent_chaining_patterns": Rule("id", None, "tenant", "s"),
    "traceability.error_patterns": Rule("id", None, "tenant", "s"),
    "traceability.execution_traces": Rule("id", "user_id", "own", "s"),
    "traceability.agent_routing_decisions": Rule("id", None, "own", "s"),
    "traceability.hook_executions": Rule("id", None, "own", "s"),
    "traceability.endpoint_calls": Rule("id", None, "own", "s"),
    "chat.users": Rule("id", None, "own", "su"),
    "chat.agents": Rule("id", "user_id", "own", "s"),
    "chat.workspaces": Rule("id", "owner_user_id", "own", "s"),
    "chat.workspace_members": Rule("id", "user_id", "own", "s"),
    "chat.chat_channels": Rule("id", None, "own", "s"),
    "chat.datastores": Rule("id", "user_id", "own", "s"),
    "chat.agent_datastores": Rule("id", None, "own", "s"),
    "chat.agent_states": Rule("id", None, "own", "s"),
    "chat.state_checkpoints": Rule("id", None, "own", "s"),
    "chat.state_transitions": Rule("id", None, "own", "s"),
    "chat.conversation_sessions": Rule("id", "user_id", "own", "siu"),
    "chat.chat_messages": Rule("id", "sender_user_id", "own", "si"),
    "chat.chat_messages_v2": Rule("id", "sender_user_id", "own", "siu"),
    "chat.message_versions": Rule("id", None, "own", "s"),
    "chat.agent_memories": Rule("id", None, "own", "s"),
    "chat.memory_consolidations": Rule("id", None, "own", "s"),
    "chat.context_snapshots": Rule("id", None, "own", "s"),
    "chat.context_templates": Rule("id", None, "tenant", "s"),
    "agentic.users": Rule("user_id", None, "own", "s"),
    "agentic.agents": Rule("agent_id", None, "tenant", "s"),
    "agentic.agent_sessions": Rule("session_id", "user_id", "own", "s"),
    "agentic.agent_decisions": Rule("decision_id", None, "own", "s"),
    "agentic.trust_metrics": Rule("metric_id", None, "own", "s"),
    "agentic.conversation_history": Rule("message_id", None, "own", "s"),
    "agentic.agent_knowledge": Rule("knowledge_id", None, "tenant", "s"),
    "agentic.audit_chain_heads": Rule("session_id", None, "own", ""),
    "agentic.agent_audit_log": Rule("audit_id", "user_id", "own", "s"),
    "agentic.schema_versions": Rule("version_id", None, "own", ""),
}

# The tables of ops have no rows of tenants, so that rights alone count.
OPS = {
    "ops.raw_schemas": {
        "loader": "s",
        "refresher": "s",
        "retention": "s",
        "service_role": "s",
        "authenticated": "s",
    },
    "ops.adopted_objects": {},
    "ops.schema_changes": {"loader": "s", "refresher": "s", "retention": "s"},
    "ops.schema_versions": {"loader": "s", "refresher": "s", "retention": "s"},
    "ops.schema_objects": {"loader": "s", "refresher": "s", "retention": "s"},
    "ops.loaded_runs": {"loader": "si", "refresher": "s", "retention": "s"},
    "ops.rejected_records": {"loader": "siud", "refresher": "s", "retention": "s"},
    "ops.pseudonym_salt": {"refresher": "s"},
    "ops.as_of": {"refresher": "su"},
    "ops.changes": {"refresher": "sid"},
    "ops.lifecycle_transactions": {},
    "ops.archives": {"refresher": "s", "retention": "s"},
    "ops.retention_overrides": {"retention": "siud"},
    "ops.backups": {"retention": "siud"},
    "ops.backfills": {"refresher": "s", "retention": "s"},
    "ops.growths": {"refresher": "s", "retention": "s"},
    "ops.erasures": {"refresher": "s", "retention": "s"},
    "ops.erasure_steps": {"refresher": "s", "retention": "s"},
    "ops.erasure_keys": {"refresher": "s", "retention": "s"},
    "ops.personal_data": {"refresher": "s", "retention": "s"},
    "ops.protected_columns": {"loader": "s", "retention": "siud", "service_role": "s"},
    "ops.encryption_keys": {"retention": "s"},
    "ops.loose_files": {"retention": "s"},
    "ops.pooled_models": {"refresher": "s"},
    "ops.captured_tables": {"refresher": "s"},
    "ops.collections": {"refresher": "siu"},
    "ops.content_hashes": {"refresher": "siu"},
    "ops.refreshes": {"refresher": "siud", "retention": "s"},
    "ops.refreshed_periods": {"refresher": "siud", "retention": "s"},
    "ops.seals": {"refresher": "si", "retention": "s"},
    "ops.built_views": {"refresher": "siu"},
    "ops.departures": {"refresher": "siu", "retention": "s"},
    "ops.frozen_for": {"refresher": "si", "retention": "s"},
    "ops.departed_keys": {"refresher": "s", "retention": "s"},
    "ops.departed_audit_links": {"refresher": "s", "retention": "s", "service_role": "s"},
    "ops.late_rows": {"refresher": "sid", "retention": "s"},
    "ops.legal_holds": {"retention": "s"},
    "ops.archive_files": {"retention": "siud"},
    "ops.month_clocks": {"refresher": "s", "retention": "s"},
    "ops.purges": {"refresher": "s", "retention": "s"},
    "ops.incomplete_marts": {"refresher": "s", "retention": "s"},
    "ops.budgets": {"service_role": "siud", "refresher": "s"},
    "ops.forecasts": {"refresher": "si"},
    "ops.chat_migration": {"refresher": "s", "retention": "s"},
    "ops.learned_months": {"loader": "siu"},
    "ops.learned_counts": {"loader": "sid"},
    "ops.pruned_patterns": {"loader": "s", "refresher": "s", "retention": "s"},
    "ops.trust_checkpoints": {"refresher": "si", "retention": "s"},
    "ops.table_layouts": {},
    "ops.distribution_violations": {},
}

# Functions that run in the owner's name, and who may call them.
DEFINERS = {
    "ops.create_month_partitions": {"agentbooks_loader", "agentbooks_retention", "service_role"},
    "ops.maintain_partitions": {"agentbooks_loader", "agentbooks_retention", "service_role"},
    "ops.rows_in_default_partitions": {
        "agentbooks_loader", "agentbooks_refresher", "agentbooks_retention",
    },
    "ops.mark_departed_rows": set(),
    "ops.departure_refusals": {"agentbooks_refresher", "agentbooks_retention"},
    "ops.remove_month": {"agentbooks_retention"},
    "ops.purge_month": {"agentbooks_retention"},
    "ops.thaw_month": {"agentbooks_retention"},
    "ops.stage_month": {"agentbooks_retention"},
    "ops.restore_month": {"agentbooks_retention"},
    "ops.is_lifecycle": {
        "agentbooks_loader", "agentbooks_refresher", "agentbooks_retention", "service_role", "authenticated",
    },
    "ops.sync_archives": set(),
    "ops.sync_archive_rights": {"agentbooks_retention"},
    "ops.refuse_archived_rows": {"agentbooks_refresher"},
    "ops.archive_month": {"agentbooks_retention"},
    "ops.unarchive_month": {"agentbooks_retention"},
    "ops.archive_rows": {"agentbooks_retention"},
    "ops.unarchive_rows": {"agentbooks_retention"},
    "ops.strip_payloads": {"agentbooks_retention"},
    "ops.subject_hash": {"agentbooks_retention"},
    "ops.erase_rows": {"agentbooks_retention"},
    "ops.note_erasure": {"agentbooks_refresher"},
    "ops.subject_tenants": {"agentbooks_retention"},
    "ops.open_erasure": {"agentbooks_retention"},
    "ops.note_erasure_keys": {"agentbooks_retention"},
    "ops.find_erasure_keys": {"agentbooks_retention"},
    "ops.plan_erasure": {"agentbooks_retention"},
    "ops.erase_from_ops": {"agentbooks_retention"},
    "ops.note_pooled_seal": {"agentbooks_refresher"},
    "ops.end_erasure": {"agentbooks_retention"},
    "ops.stage_erasure": {"agentbooks_retention"},
    "ops.note_replaced_file": {"agentbooks_retention"},
    "ops.note_deleted_file": {"agentbooks_retention"},
    "ops.hold_condition": {"agentbooks_retention"},
    "ops.holds_on_departed": {"agentbooks_retention"},
    "ops.under_hold": {"agentbooks_retention"},
    "ops.place_hold": {"agentbooks_retention"},
    "ops.release_hold": {"agentbooks_retention"},
    "ops.holds_on_persons": {"agentbooks_retention"},
    "ops.note_encryption_key": {"agentbooks_loader", "agentbooks_retention"},
    "ops.protection_refusals": {"agentbooks_loader", "agentbooks_retention"},
    "ops.protected_places": {"agentbooks_retention"},
    "ops.protected_values": {"agentbooks_retention"},
    "ops.rewrite_values": {"agentbooks_retention"},
    "ops.note_loose_files": {"agentbooks_retention"},
    "ops.replace_file": {"agentbooks_retention"},
    "ops.forget_loose_file": {"agentbooks_retention"},
    # For whoever bootstraps.
    "ops.start_growth": set(),
    "ops.grow": set(),
    "ops.switch_growth": set(),
    "ops.finish_growth": set(),
    "ops.undo_growth": set(),
    "ops.drop_growth": set(),
    "ops.validate_checks": set(),
    "raaf.backfill_spans": set(),
    "observability.cleanup_old_traces": {"agentbooks_retention", "service_role"},
    "traceability.cleanup_old_data": {"agentbooks_retention", "service_role"},
    "traceability.forget_learned_uses": {"agentbooks_loader"},
    "traceability.bury_pattern": set(),
    "chat.follow_first": set(),
    "chat.follow_second": set(),
    "chat.make_way": set(),
    "chat.read_share": {
        "agentbooks_loader", "agentbooks_refresher", "agentbooks_retention", "service_role", "authenticated",
    },
    "chat.start_migration": {"agentbooks_retention"},
    "chat.missing_months": {"agentbooks_retention"},
    "chat.make_month": {"agentbooks_retention"},
    "chat.uncopied_messages": {"agentbooks_retention"},
    "chat.next_blocks": {"agentbooks_retention"},
    "chat.copy_blocks": {"agentbooks_retention"},
    "chat.copy_waiting": {"agentbooks_retention"},
    "chat.count_sessions": {"agentbooks_retention"},
    "chat.compare_generations": {"agentbooks_retention"},
    "chat.validate_migration": {"agentbooks_retention"},
    "chat.mend_messages": {"agentbooks_retention"},
    "chat.switch_reads": {"agentbooks_retention"},
    "chat.finish_migration": {"agentbooks_retention"},
    "chat.reopen_first": {"agentbooks_retention"},
    "chat.bring_back": {"agentbooks_retention"},
    "chat.leave_parallel": {"agentbooks_retention"},
    "chat.drop_copies": {"agentbooks_retention"},
    "chat.keep_message_version": set(),
    "chat.fill_version_session": set(),
    "chat.drop_message_versions": set(),
    "agentic.chain_audit_entry": set(),
    "agentic.redact_audit_entry": {"agentbooks_retention"},
}  # fmt: skip


class Person(NamedTuple):
    """Whose rows there are. The id is the key of that person's row in every table."""

    name: str
    id: str
    tenant: str


OWN = Person("own", "10000000-0000-4000-8000-000000000000", "a")
COLLEAGUE = Person("colleague's", "20000000-0000-4000-8000-000000000000", "a")
STRANGER = Person("stranger's", "30000000-0000-4000-8000-000000000000", "b")
NOBODY = Person("nobody's", "40000000-0000-4000-8000-000000000000", "a")
PEOPLE = (OWN, COLLEAGUE, STRANGER, NOBODY)

# Whose rows a user sees through views, and the column that tells.
TENANT = {OWN, COLLEAGUE, NOBODY}
VIEWS = {
    "traceability.trace_summary": ("id", {OWN}),
    "traceability.agent_performance": ("agent_name", {OWN}),
    "traceability.pattern_effectiveness": ("id", TENANT),
    "traceability.error_analysis": ("error_type", TENANT),
    "chat.agent_memories_current": ("id", {OWN}),
    "chat.messages": ("id", {OWN}),
    "chat.message_id_map": ("old_id", {OWN}),
}
COUNTS = "traceability.dashboard_summary"

# Where a row may be of nobody. What hangs under such a row is nobody's too.
ANONYMOUS: dict[str, Row] = {
    "observability.traces": {},
    "observability.spans": {},
    "observability.cost_records": {},
    "observability.cost_aggregations": {},
    "observability.usage_logs": {},
    "traceability.execution_traces": {},
    "chat.conversation_sessions": {},
    "chat.chat_messages": {"sender_agent_id": NOBODY.id},
    "chat.chat_messages_v2": {"role": "system"},
    "agentic.agent_sessions": {},
    "agentic.agent_audit_log": {},
}

# What a row hangs under, where it need not.
ABOVE: dict[str, Row] = {"traceability.pattern_usage_log": {"trace_id": ONE}}

# Columns that must differ from row to row, or that name the row's owner in a view.
NAMED = {
    "observability.profiles": ("email",),
    "observability.traces": ("execution_id",),
    "traceability.success_patterns": ("pattern_hash",),
    "traceability.execution_traces": ("correlation_id", "root_id"),
    "traceability.agent_chaining_patterns": ("chain_pattern",),
    "traceability.error_patterns": ("error_type",),
    "traceability.agent_routing_decisions": ("agent_selected",),
    "chat.users": ("username", "email"),
    "chat.context_templates": ("name",),
    "agentic.users": ("email",),
    "agentic.schema_versions": ("version_number",),
}
# What a person's second row needs in order not to collide with the first.
SECOND: dict[str, Row] = {
    "observability.cost_aggregations": {"period_type": "weekly"},
    "chat.agent_datastores": {"datastore_id": "00000000-0000-4000-8000-00000000da7a"},
    "chat.agent_states": {"is_current": False, "valid_until": "2030-01-01 00:00+00"},
    "chat.message_versions": {"version_number": 2},
}
# Columns that hold keys of other services in clear text.
SECRETS = {
    "observability.profiles": ("settings",),
    "chat.datastores": ("config",),
}
EMBEDDED = {
    "traceability.success_patterns": "prompt_embedding",
    "chat.agent_memories": "embeddings",
    "agentic.agent_knowledge": "embedding",
}
# An update of a column that whoever may update the table may update.
TOUCH = {
    "observability.profiles": "name = 'N'",
    "chat.users": "full_name = 'N'",
    "chat.conversation_sessions": "last_active = now()",
    "chat.chat_messages_v2": "metadata = null",
    "agentic.agent_audit_log": "action_type = 'changed'",
    "agentic.agents": "version = version + 1",
    "agentic.agent_sessions": "version = version + 1",
}


class Caller(NamedTuple):
    """A role, and for application users who they are."""

    name: str
    role: str
    user: str | None = None
    tenant: str = "a"
    by_token: bool = False

    def become(self) -> str:
        """Return the statements that take the role and the identity until the transaction ends."""
        if self.by_token:
            claims = json.dumps({"sub": self.user, "tenant_id": self.tenant})
            return f"set local role {self.role}; set local request.jwt.claims = '{claims}'"
        return (
            f"set local role {self.role}; set local app.tenant_id = '{self.tenant}';"
            f" set local app.user_id = '{self.user or ''}'"
        )


USER = Caller("user", "authenticated", OWN.id)
CALLERS = (
    *(Caller(role, role) for role in JOBS),
    USER,
    Caller("user by token", "authenticated", OWN.id, by_token=True),
    Caller("user in another tenant", "authenticated", OWN.id, tenant="b"),
    Caller("user without a name", "authenticated", None),
)


def expected(caller: Caller, table: str, verb: str, person: Person) -> str:
    """Say what must come of a statement: rows, or the SQLSTATE of its refusal."""
    rule = RULES[table]
    if caller.role in JOBS:
        kind = KINDS.get(table, "ordinary")
        return ONE_ROW if verb in JOBS[caller.role][kind] else DENIED
    if verb not in rule.verbs:
        return DENIED
    of_tenant = person.tenant == caller.tenant
    own = of_tenant and person.id == caller.user
    if verb == "i":
        return ONE_ROW if own else DENIED
    return ONE_ROW if own or (of_tenant and rule.scope == "tenant") else NO_ROW


def row_of(table: str, person: Person, key: str) -> Row:
    """Make the person's row of a table, with a key of its own."""
    rule = RULES[table]
    own = {ONE: person.id, "trace_1": person.id, "span_1": person.id}
    row = {
        column: [own.get(v, v) for v in value] if isinstance(value, list) else own.get(value, value)
        for column, value in (ROWS[table] | ABOVE.get(table, {})).items()
    }
    row |= {"tenant_id": person.tenant, rule.key: key}
    row |= {
        column: json.dumps({"api_key": SECRET + person.id}) for column in SECRETS.get(table, ())
    }
    if rule.user_column:
        row[rule.user_column] = person.id
    if person is NOBODY and table in ANONYMOUS:
        assert rule.user_column
        row |= {rule.user_column: None, **ANONYMOUS[table]}
    for column in NAMED.get(table, ()):
        row[column] = [key, "x"] if isinstance(row[column], list) else key
    if table in EMBEDDED:
        row[EMBEDDED[table]] = HALF
    return row | (SECOND.get(table, {}) if key != person.id else {})


def attempt(
    connection: psycopg.Connection, caller: Caller | None, table: str, verb: str, person: Person
) -> str:
    """Try a statement on a person's row, undo it, and say what came of it; without caller as owner."""
    target = sql.Identifier(*table.split("."))
    matches = sql.SQL("where {} = {}").format(
        sql.Identifier(RULES[table].key), sql.Literal(person.id)
    )
    try:
        with connection.transaction(force_rollback=True):
            if caller:
                connection.execute(caller.become())
            if verb == "i":
                insert(connection, table, row_of(table, person, str(uuid4())))
                return ONE_ROW
            statement = {
                "s": sql.SQL("select from {} {}"),
                "u": sql.SQL("update {} set " + TOUCH.get(table, "tenant_id = tenant_id") + " {}"),
                "d": sql.SQL("delete from {} {}"),
            }[verb]
            count = connection.execute(statement.format(target, matches)).rowcount
            return ONE_ROW if count == 1 else f"{count} rows"
    except psycopg.Error as error:
        return str(error.sqlstate)


def archives(connection: psycopg.Connection) -> list[tuple[str, str, str]]:
    """Name each raw table that has an archive, the archive, and the view of both."""
    return connection.execute(
        "select hot::text, archive::text, 'history.' || ops.archive_name(hot) from ops.archives order by 1"
    ).fetchall()


def archive_all(connection: psycopg.Connection) -> None:
    """Archive the rows of every table that has an archive."""
    connection.execute("set constraints all immediate")
    connection.execute("select from ops.maintain_partitions()")
    connection.execute(
        """
        select ops.archive_month(a.hot, '2020-03-01')
        from ops.archives as a join pg_partitioned_table as p on p.partrelid = a.hot
        """
    )
    due = json.dumps({"clock": "change_clock", "before": "2100-01-01"})
    for _ in range(4):  # what hangs under other rows goes first
        for table, _, _ in archives(connection):
            clock = connection.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnotnull"
                " and atttypid = 'timestamptz'::regtype and not exists ("
                "select from pg_partitioned_table where partrelid = attrelid) limit 1",
                (table,),
            ).fetchone()
            if clock:
                connection.execute(
                    "select ops.archive_rows(%s, %s)",
                    (table, due.replace("change_clock", clock[0])),
                )


@pytest.fixture(scope="module")
def rows(module_url: str) -> Iterator[psycopg.Connection]:
    """One open transaction with a row of each person in every table. What tests do, they undo."""
    with psycopg.connect(module_url, prepare_threshold=None) as connection:
        connection.execute("set local role agentbooks_owner")
        for table in RULES:
            for person in PEOPLE:
                insert(connection, table, row_of(table, person, person.id))
        spare = SECOND["chat.agent_datastores"]["datastore_id"]
        insert(connection, "chat.datastores", row_of("chat.datastores", STRANGER, spare))
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def archived(server18: TestServer) -> Iterator[psycopg.Connection]:
    """The same rows in another database, all that can be archived in its archive."""
    with psycopg.connect(server18.database(), prepare_threshold=None) as connection:
        connection.execute("set local role agentbooks_owner")
        for table in RULES:
            for person in PEOPLE:
                insert(connection, table, row_of(table, person, person.id))
        archive_all(connection)
        yield connection
        connection.rollback()


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_each_caller_reads_of_an_archive_what_it_read_before(
    archived: psycopg.Connection, caller: Caller
) -> None:
    """A stranger's row that shows once it is archived, one's own that is gone, a right to write."""
    wrong = []
    for table, archive, history in archives(archived):
        for person in PEOPLE:
            for place in (archive, history):
                wanted = expected(caller, table, "s", person)
                found = run_as(
                    archived,
                    caller,
                    f"select from {place} where {RULES[table].key} = '{person.id}'",
                )
                found = {"1": ONE_ROW, "0": NO_ROW}.get(found, found)
                if found != wanted:
                    wrong.append(f"{place}, {person.name} row: {found}, not {wanted}")
        wrong += [
            f"{statement}: not refused"
            for statement in (
                f"insert into {archive} default values",
                f"update {archive} set tenant_id = tenant_id",
                f"delete from {archive}",
                f"truncate {archive}",
            )
            if run_as(archived, caller, statement) != DENIED
        ]
    assert not wrong, f"mend ops.sync_archives for {caller.name}: {wrong}"


def test_all_that_can_be_archived_was(archived: psycopg.Connection) -> None:
    """The negative control: rows that are nowhere are hidden from everybody."""
    for table, archive, _ in archives(archived):
        counts = archived.execute(
            f"select (select count(*) from {table}), (select count(*) from {archive})".encode()
        ).fetchone()
        assert counts == (0, len(PEOPLE)), f"{table} and its archive"


def test_an_archive_has_the_policies_of_its_table(archived: psycopg.Connection) -> None:
    """A restrictive policy that came to the archive as a permissive one, which opens all of it."""
    differing = archived.execute(
        """
        select a.archive::text, h.polname
        from ops.archives as a
        join pg_policy as h on h.polrelid = a.hot and h.polcmd in ('r', '*')
        left join pg_policy as k
            on k.polrelid = a.archive and k.polname = h.polname and k.polcmd = 'r'
            and k.polpermissive = h.polpermissive and k.polroles = h.polroles
        where k.oid is null
        union all
        select a.archive::text, k.polname
        from ops.archives as a
        join pg_policy as k on k.polrelid = a.archive
        left join pg_policy as h on h.polrelid = a.hot and h.polname = k.polname
        where h.oid is null
        union all
        select c.oid::regclass::text, 'row level security'
        from pg_class as c
        where c.relnamespace = 'archive'::regnamespace and c.relkind in ('r', 'p')
            and not c.relrowsecurity
        """
    ).fetchall()
    assert not differing, "mend ops.sync_archives"


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_each_caller_reaches_what_the_rules_say(rows: psycopg.Connection, caller: Caller) -> None:
    """A grant or a policy that shows, or lets change, one row too many or too few."""
    wrong = []
    for table in RULES:
        for verb, word in VERBS.items():
            for person in PEOPLE:
                wanted = expected(caller, table, verb, person)
                found = attempt(rows, caller, table, verb, person)
                if found != wanted:
                    wrong.append(f"{word} {person.name} row of {table}: {found}, not {wanted}")
    assert not wrong, f"mend grants or policies for {caller.name}: {wrong}"


def test_the_owner_could_do_all_of_it(rows: psycopg.Connection) -> None:
    """The negative control: a row that was never there is hidden from everybody."""
    exceptions = {
        ("agentic.agent_audit_log", "u"): AUDITED,
        ("agentic.agent_audit_log", "d"): AUDITED,
        ("agentic.agents", "d"): IN_USE,
    }
    wrong = [
        f"{VERBS[verb]} {person.name} row of {table}: {found}"
        for table in RULES
        for verb in VERBS
        for person in PEOPLE
        if (found := attempt(rows, None, table, verb, person))
        != exceptions.get((table, verb), ONE_ROW)
    ]
    assert not wrong, f"give the test rows that work: {wrong}"


def test_every_table_and_view_has_a_rule_here(rows: psycopg.Connection) -> None:
    """A new table that nobody thought about."""
    found = rows.execute(
        """
        select c.oid::regclass::text
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        where n.nspowner = 'agentbooks_owner'::regrole
            and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
        """
    ).fetchall()
    kept = {name for _, *names in archives(rows) for name in names}
    read = {f"history.{table.replace('.', '__')}" for table in RULES}
    known = {*RULES, *OPS, *VIEWS, COUNTS, *kept, *read}
    assert {name for (name,) in found} == known, "write the rules of the new relation down here"


def test_no_partition_is_reached_by_its_own_name(rows: psycopg.Connection) -> None:
    """Reading or writing a partition directly, past policies and triggers of its table."""
    partitions = rows.execute(
        "select oid::regclass::text from pg_class where relispartition and relkind = 'r'"
    ).fetchall()
    assert len(partitions) > 40, "the negative control: there are partitions"
    reached = [
        f"{statement} as {role}"
        for (partition,) in partitions
        for statement in (
            f"select from {partition}",
            f"insert into {partition} default values",
            f"update {partition} set tenant_id = tenant_id",
            f"delete from {partition}",
        )
        for role in ROLES
        if run_as(rows, Caller(role, role, OWN.id), statement) != DENIED
    ]
    assert not reached, f"revoke: {reached}"


def run_as(connection: psycopg.Connection, caller: Caller, statement: str) -> str:
    """Run a statement as a caller, undo it, and return what it gave: text of rows, or a SQLSTATE."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(caller.become())
            cursor = connection.execute(statement.encode())
            return str(cursor.fetchall() if cursor.description else cursor.rowcount)
    except psycopg.Error as error:
        return str(error.sqlstate)


@pytest.mark.parametrize("table", OPS)
def test_the_tables_of_ops_are_for_jobs(rows: psycopg.Connection, table: str) -> None:
    """An application user who reads the salt behind the pseudonyms, or a loader that forges it."""
    column = rows.execute(
        "select attname from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 and attidentity = '' limit 1",
        (table,),
    ).fetchone()
    assert column
    statements = {
        "s": f"select from {table}",
        "i": f"insert into {table} default values",
        "u": f"update {table} set {column[0]} = {column[0]}",
        "d": f"delete from {table}",
    }
    for role in ROLES:
        allowed = OPS[table].get(role.removeprefix("agentbooks_"), "")
        for verb, statement in statements.items():
            denied = run_as(rows, Caller(role, role, OWN.id), statement) in (DENIED, READ_ONLY)
            assert denied == (verb not in allowed), f"mend the grants of {role}: {statement}"


def test_nobody_has_a_right_beyond_rows(rows: psycopg.Connection) -> None:
    """TRUNCATE, which no policy stops; REFERENCES and TRIGGER, which see every row; GRANT OPTION."""
    odd = rows.execute(
        """
        select c.oid::regclass::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        cross join aclexplode(c.relacl) as a
        where n.nspowner = 'agentbooks_owner'::regrole and a.grantee <> c.relowner
            and (a.is_grantable or a.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))
        """
    ).fetchall()
    defaults = rows.execute("select defaclobjtype, defaclacl from pg_default_acl").fetchall()
    assert (odd, defaults) == ([], []), "revoke these"


def test_callers_without_a_login_and_readers_of_marts_reach_no_schema_with_rows(
    rows: psycopg.Connection,
) -> None:
    """A role that reaches nothing but is let into a schema, where the next grant opens something."""
    open_to = rows.execute(
        """
        select n.nspname, r.rolname
        from pg_namespace as n cross join pg_roles as r
        where n.nspowner = 'agentbooks_owner'::regrole and r.rolname in ('anon', 'bi_reader')
            and has_schema_privilege(r.oid, n.oid, 'usage, create')
        """
    ).fetchall()
    assert open_to == [("sketches", "bi_reader")], "revoke usage"
    relations = rows.execute(
        "select relname from pg_class where relnamespace = 'sketches'::regnamespace"
    ).fetchall()
    assert relations == [], "move these to another schema"


def test_a_view_asks_for_its_callers_rights(rows: psycopg.Connection) -> None:
    """A view that reads with its owner's rights, and so past all policies."""
    owners = rows.execute(
        """
        select c.oid::regclass::text
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        where n.nspowner = 'agentbooks_owner'::regrole and c.relkind = 'v'
            and not coalesce(c.reloptions @> array['security_invoker=true'], false)
        """
    ).fetchall()
    assert owners == [], "add with (security_invoker = true)"


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_a_user_what_its_tables_show(rows: psycopg.Connection, view: str) -> None:
    """A view through which a user sees rows of others."""
    column, people = VIEWS[view]
    query = f"select {column}::text from {view}"
    everyone = {name for (name,) in rows.execute(query.encode()).fetchall()}
    assert {person.id for person in PEOPLE} <= everyone, "the negative control: it shows all rows"
    answer = run_as(rows, USER, query)
    assert {person for person in PEOPLE if person.id in answer} == people, (
        "mend the tables' policies"
    )


def test_a_view_of_totals_counts_what_its_tables_show(rows: psycopg.Connection) -> None:
    """Totals of all tenants on everybody's screen."""
    query = f"select total_traces, total_patterns from {COUNTS}"
    assert rows.execute(query.encode()).fetchone() == (4, 4), "the negative control"
    assert run_as(rows, USER, query) == "[(1, 3)]"


@pytest.mark.parametrize(
    ("query", "everyone", "people"),
    [
        (f"select pattern_id from traceability.find_similar_patterns('{HALF}')", 4, TENANT),
        (
            f"select pattern_id from traceability.match_patterns('{HALF}', '{{refund}}')",
            4,
            TENANT,
        ),
        (f"select knowledge_id from agentic.find_similar_knowledge('{HALF}')", 4, TENANT),
        *(
            (f"select memory_id from chat.find_similar_memories('{person.id}', '{HALF}')", 1, {OWN})
            for person in PEOPLE
        ),
        *(
            (f"select ref_id from traceability.get_trace_timeline('{person.id}')", 4, {OWN})
            for person in PEOPLE
        ),
    ],
)
def test_a_function_shows_a_user_what_its_tables_show(
    rows: psycopg.Connection, query: str, everyone: int, people: set[Person]
) -> None:
    """A search, or the story of a trace, that tells a user of other people's rows."""
    assert rows.execute(query.encode()).rowcount == everyone, "the negative control: it finds rows"
    answer = run_as(rows, USER, query)
    shown = {person for person in PEOPLE if person.id in answer}
    asked_for = {person for person in PEOPLE if person.id in query} or people
    assert shown == people & asked_for, "make it security invoker, or mend the tables' policies"


@pytest.mark.parametrize("role", ["agentbooks_loader", "service_role"])
def test_what_a_writer_records_is_of_its_own_tenant(rows: psycopg.Connection, role: str) -> None:
    """An error of one tenant that is counted on the row of another."""
    record = "select traceability.record_error_pattern('new', null, 'm', null, null, null)"
    with rows.transaction(force_rollback=True):
        for tenant in ("a", "b", "a"):
            rows.execute(Caller(role, role, tenant=tenant).become())
            rows.execute(record.encode())
        counted = rows.execute(
            "select tenant_id, error_count from traceability.error_patterns"
            " where error_type = 'new' order by tenant_id"
        ).fetchall()
    assert counted == [("a", 2), ("b", 1)]


def test_functions_in_the_owners_name_are_closed(rows: psycopg.Connection) -> None:
    """A function above all policies that one role too many may call, or that a schema can hijack."""
    functions = rows.execute(
        """
        select
            n.nspname || '.' || p.proname,
            format(
                'select %I.%I(%s)', n.nspname, p.proname, (
                    select string_agg('null::' || format_type(t.oid, null), ', ' order by t.position)
                    from unnest(p.proargtypes) with ordinality as t (oid, position)
                )
            ),
            coalesce('search_path=pg_catalog, pg_temp' = any(p.proconfig), false)
        from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
        where n.nspowner = 'agentbooks_owner'::regrole and p.prosecdef
        """
    ).fetchall()
    assert {name for name, *_ in functions} == set(DEFINERS), "write down who may call it"
    for name, call, is_pinned in functions:
        assert is_pinned, f"pin the search_path of {name}"
        callers = {role for role in ROLES if run_as(rows, Caller(role, role), call) != DENIED}
        assert callers == DEFINERS[name], f"mend the grants of {name}"


def test_the_loader_can_copy_into_every_table(rows: psycopg.Connection) -> None:
    """COPY FROM, which PostgreSQL refuses to whoever stands under a policy of the table."""
    for table in RULES:
        if KINDS.get(table) == "head":
            continue
        row = row_of(table, OWN, str(uuid4()))
        statement = sql.SQL("copy {} ({}) from stdin").format(
            sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, row))
        )
        with rows.transaction(force_rollback=True), rows.cursor() as cursor:
            cursor.execute("set local role agentbooks_loader")
            with cursor.copy(statement) as copy:
                copy.write_row(list(row.values()))
            assert cursor.rowcount == 1, f"let the loader copy into {table}"


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("observability.profiles", "role = 'admin'"),
        ("observability.profiles", "email = 'other@example.org'"),
        ("observability.profiles", "tenant_id = 'b'"),
        ("observability.workflows", "tenant_id = 'b'"),
        ("observability.workflows", f"user_id = '{COLLEAGUE.id}'"),
        ("observability.traces", "tenant_id = 'b'"),
        ("observability.traces", f"user_id = '{COLLEAGUE.id}'"),
        ("observability.traces", "user_id = null"),
        ("observability.spans", "tenant_id = 'b'"),
        ("observability.spans", f"user_id = '{COLLEAGUE.id}'"),
        ("observability.spans", f"trace_id = '{COLLEAGUE.id}'"),
        ("chat.users", "email = 'other@example.org'"),
        ("chat.users", "tenant_id = 'b'"),
        ("chat.conversation_sessions", "message_count = 0"),
        ("chat.conversation_sessions", "tenant_id = 'b'"),
        ("chat.conversation_sessions", f"user_id = '{COLLEAGUE.id}'"),
        ("chat.chat_messages_v2", "role = 'system'"),
        ("chat.chat_messages_v2", f"session_id = '{COLLEAGUE.id}'"),
        ("chat.chat_messages_v2", f"sender_user_id = '{COLLEAGUE.id}'"),
    ],
)
def test_a_user_cannot_rise_or_give_rows_away(
    rows: psycopg.Connection, table: str, change: str
) -> None:
    """A user who becomes an administrator, moves rows to another tenant, or speaks as somebody else."""
    update = f"update {table} set {change} where {RULES[table].key} = '{OWN.id}'"
    assert run_as(rows, USER, update) == DENIED
    assert run_as(rows, Caller("owner", "agentbooks_owner"), update) == "1", "the negative control"


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": COLLEAGUE.id},
        {"channel_id": COLLEAGUE.id},
        {"sender_user_id": COLLEAGUE.id},
        {"sender_user_id": None, "sender_agent_id": OWN.id},
        {"role": "system"},
    ],
    ids=str,
)
def test_a_user_writes_in_no_other_name_or_place(rows: psycopg.Connection, change: Row) -> None:
    """A message put into somebody's mouth, session or channel: agents act on what they read there."""
    row = row_of("chat.chat_messages_v2", OWN, str(uuid4())) | change
    with rows.transaction(force_rollback=True):
        insert(rows, "chat.chat_messages_v2", row)  # the negative control
    with rows.transaction(force_rollback=True):
        rows.execute(USER.become())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            insert(rows, "chat.chat_messages_v2", row)


@pytest.mark.parametrize("table", [table for table, rule in RULES.items() if "i" in rule.verbs])
def test_a_user_cannot_choose_the_change_id(rows: psycopg.Connection, table: str) -> None:
    """A row that carries an old transaction's number: no refresh would ever count it."""
    row = row_of(table, OWN, str(uuid4())) | {"change_id": 1}
    with rows.transaction(force_rollback=True):
        insert(rows, table, row)  # the negative control
    with rows.transaction(force_rollback=True):
        rows.execute(USER.become())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            insert(rows, table, row)


# Ways to a column that one may not read. Each gives the secret away to the owner.
THEFTS = (
    ("select {column} from {table}",),
    ("select t from {table} as t",),
    ("select to_jsonb(t) from {table} as t",),
    ("select min({column}::text) from {table} group by {column} order by {column}",),
    ("select name from {table} where {column}::text::int = 0",),
    ("copy (select {column} from {table}) to stdout",),
    ("create temp table stolen as select * from {table}", "select * from stolen"),
    ("create temp view stolen as select {column} from {table}", "select * from stolen"),
    ("update {table} set name = {column}::text returning name",),
    ("update {table} set name = 'N' returning {column}",),
    ("update {table} set name = 'N' returning old.{column}",),
    ("update {table} set id = null",),
    ("delete from {table} returning {column}",),
    (
        "merge into {table} as t using (values (1)) as v on true"
        " when matched then update set name = t.{column}::text returning t.name",
    ),
    ("select histogram_bounds from pg_stats where attname = '{column}'",),
    (
        "create function pg_temp.tell(content jsonb) returns boolean language plpgsql cost 0.001"
        " as $$ begin raise notice '%', content; return true; end $$",
        "select id from {table} where pg_temp.tell({column})",
    ),
)


def loot(connection: psycopg.Connection, caller: Caller, statements: tuple[str, ...]) -> str:
    """Run statements as a caller, undo them, and return all that came back, messages included."""
    heard: list[str] = []

    def listen(notice: psycopg.errors.Diagnostic) -> None:
        heard.append(str(notice.message_primary))

    connection.add_notice_handler(listen)
    try:
        with connection.transaction(force_rollback=True), connection.cursor() as cursor:
            cursor.execute(caller.become().encode())
            for statement in statements:
                if statement.startswith("copy"):
                    with cursor.copy(statement.encode()) as copy:
                        heard += [bytes(block).decode() for block in copy]
                else:
                    cursor.execute(statement.encode())
                    heard += map(str, cursor.fetchall() if cursor.description else [])
    except psycopg.Error as error:
        heard.append(str(error))
    finally:
        connection.remove_notice_handler(listen)
    return "\n".join(heard)


@pytest.mark.parametrize("theft", THEFTS, ids=lambda theft: theft[-1][:40])
@pytest.mark.parametrize("table", SECRETS)
def test_secrets_reach_the_server_and_their_user_alone(
    rows: psycopg.Connection, table: str, theft: tuple[str, ...]
) -> None:
    """A job, or another user, that gets at the keys of other services somebody keeps here."""
    (column,) = SECRETS[table]
    secret = SECRET + OWN.id
    statements = tuple(statement.format(table=table, column=column) for statement in theft)
    rows.execute(f"analyze {table}".encode())
    callers = (
        *(Caller(role, role) for role in JOBS if role != "service_role"),
        Caller("colleague", "authenticated", COLLEAGUE.id),
        Caller("user in another tenant", "authenticated", OWN.id, tenant="b"),
    )
    assert secret in loot(rows, Caller("owner", "agentbooks_owner"), statements), (
        "the negative control"
    )
    thieves = [caller.name for caller in callers if secret in loot(rows, caller, statements)]
    assert not thieves, f"take the column from {thieves}"


@pytest.mark.parametrize("table", SECRETS)
def test_who_needs_a_secret_can_read_it(rows: psycopg.Connection, table: str) -> None:
    """Keys so well kept that the server cannot call the services they are for."""
    (column,) = SECRETS[table]
    for caller in (USER, Caller("server", "service_role")):
        assert SECRET + OWN.id in loot(rows, caller, (f"select {column} from {table}",))


def test_no_model_reads_a_table_with_secrets() -> None:
    """Secrets that staging copies to where analysts read."""
    names = "|".join(table.split(".")[1] for table in SECRETS)
    reading = [
        str(path.relative_to(MODELS))
        for path in MODELS.rglob("*.*")
        if re.search(rf"\b({names})\b", path.read_text())
    ]
    assert not reading, (
        f"leave the secret columns out of {reading}, and let this test look at those"
    )
