"""Keeps rows as long as seed `retention_policies` says: what is due, and doing it step by step.

Terms count back from a moment that the caller gives. What moves or blanks rows is a function of schema
ops; here it is decided on which of them, and in what order.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from graphlib import TopologicalSorter
from itertools import groupby
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from orchestration import cold_archive, database
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from uuid import UUID

SEED = "seeds.retention_policies"
BATCH = 1_000
REST = 0.2
"""Of the time that a batch took: writers share its processors and its disk."""
# What is done on a month's way out: its days are frozen, and its rows copied.
ON_THE_WAY = ("not_frozen", "no_verified_copy")
KINDS = (
    "legal_hold",
    "tenant_override",
    "still_active",
    "unsealed_mart",
    "late_rows",
    "incomplete_survivor",
    "other",
)
RETIRED = "retired by pattern_effectiveness, unused for its term"

POLICIES = """
select
    p.table_name,
    p.clock,
    p.state_column,
    string_to_array(p.states, ' ') as states,
    p.together_by,
    %(as_of)s - ops.interval_of(p.active_for) as active_before,
    -- What is kept stays where its last term leaves it.
    case when (p.finally <> 'keep' or p.cold_for is not null)
        and quote_ident(p.clock) = ops.month_clock(to_regclass(p.table_name))
    then
        %(as_of)s - ops.interval_of(p.active_for)
        - coalesce(ops.interval_of(p.archived_for), interval '0')
    end as leaves_before,
    case when p.finally <> 'keep' and quote_ident(p.clock) = ops.month_clock(to_regclass(p.table_name)) then
        %(as_of)s - ops.interval_of(p.active_for)
        - coalesce(ops.interval_of(p.archived_for), interval '0')
        - coalesce(ops.interval_of(p.cold_for), interval '0')
    end as purged_before,
    -- Of a table in one piece rows leave from its archive alone.
    p.archived_for is not null or (
        (p.finally <> 'keep' or p.cold_for is not null) and t.partrelid is null
        and ops.archive_of(to_regclass(p.table_name)) is not null
    ) as is_archived,
    array[p.active_for, p.archived_for, p.cold_for] as terms,
    p.finally as ending,
    p.survivor,
    concat_ws(
        ', ', 'active ' || p.active_for, 'archived ' || p.archived_for, 'cold ' || p.cold_for,
        'then ' || p.finally
    ) || ' (' || p.reason || ')' as words,
    p.payload_columns,
    %(as_of)s - ops.interval_of(p.payload_for) as payload_before,
    t.partrelid is not null as is_monthly,
    'archive.' || coalesce(ops.archive_name(to_regclass(p.table_name)), '') as archive
from seeds.retention_policies as p
left join pg_partitioned_table as t on to_regclass(p.table_name) = t.partrelid
order by p.table_name, p.clock
"""

KEYS = """
select distinct parent.table_name, child.table_name
from pg_constraint as k
join seeds.retention_policies as parent on k.confrelid = to_regclass(parent.table_name)
join seeds.retention_policies as child on k.conrelid = to_regclass(child.table_name)
where k.contype = 'f' and k.confrelid <> k.conrelid
order by 1, 2
"""

OVERRIDES = """
select
    o.tenant_id,
    %(as_of)s - o.active_for as active_before,
    %(as_of)s - o.payload_for as payload_before,
    %(as_of)s - coalesce(o.active_for, ops.interval_of(p.active_for))
    - coalesce(o.archived_for, ops.interval_of(p.archived_for), interval '0') as leaves_before,
    %(as_of)s - coalesce(o.active_for, ops.interval_of(p.active_for))
    - coalesce(o.archived_for, ops.interval_of(p.archived_for), interval '0')
    - coalesce(o.cold_for, ops.interval_of(p.cold_for), interval '0') as purged_before,
    array[
        coalesce(o.active_for, ops.interval_of(p.active_for)),
        coalesce(o.archived_for, ops.interval_of(p.archived_for)),
        coalesce(o.cold_for, ops.interval_of(p.cold_for))
    ]::text[] as terms
from ops.retention_overrides as o
join seeds.retention_policies as p on o.table_name = p.table_name and p.clock = %(clock)s
where o.table_name = %(table)s
order by o.tenant_id
"""

MONTHS = """
select m.month, pg_total_relation_size(c.oid) as bytes
from pg_inherits as i
join pg_class as c on i.inhrelid = c.oid
cross join lateral (
    select to_date(substring(c.relname from '_y([0-9]{4}m[0-9]{2})$'), 'YYYY"m"MM') as month
) as m
where
    i.inhparent = to_regclass(%(parent)s)
    and (m.month + interval '1 month')::timestamp at time zone 'UTC' <= %(before)s
order by m.month
"""

REFUSALS = """
select kind, ltrim(replace(reason, to_char(%(month)s, 'YYYY-MM') || ' of ' || %(table)s, ''), ': ')
from ops.departure_refusals(%(table)s::regclass, %(month)s)
where kind <> all(%(on_the_way)s)
"""

# Of those of a month alone, as far as they say: freezing asks the models.
UNSEALED = """
select string_agg(r.target, ', ' order by r.target)
from ops.readers(%(table)s) as b
join ops.refreshes as r using (target)
where
    not b.is_developers
    and exists (
        select from ops.unseen_changes(r.target, r.inputs) as c
        where
            c.keys is null
            or (c.keys ->> 'day')::date between %(month)s and %(month)s + interval '1 month - 1 day'
    )
"""

PURGES = """
select
    d.month,
    coalesce(sum(f.rows), 0)::bigint,
    coalesce(sum(f.bytes), 0)::bigint,
    case when d.removed_at + ops.least_cold_time() > now() then
        to_char((d.removed_at + ops.least_cold_time()) at time zone 'UTC', 'YYYY-MM-DD')
    end,
    coalesce(bool_and(f.state = 'purged'), false)
from ops.departures as d
left join ops.archive_files as f using (table_name, month)
where
    d.table_name = %(table)s
    and d.removed_at is not null
    and (d.month + interval '1 month')::timestamp at time zone 'UTC' <= %(before)s
    and (
        f.url is not null
        or not exists (
            select from ops.purges as p where p.table_name = d.table_name and p.month = d.month
        )
    )
group by d.month, d.removed_at
order by d.month
"""

# When the first thing that is not due yet will be, of months by their ends.
NEXT = {
    "archive month": """
select (min(m.month) + interval '1 month')::timestamp at time zone 'UTC'
from pg_inherits as i
join pg_class as c on i.inhrelid = c.oid
cross join lateral (
    select to_date(substring(c.relname from '_y([0-9]{{4}}m[0-9]{{2}})$'), 'YYYY"m"MM') as month
) as m
where
    i.inhparent = {name}::regclass
    and (m.month + interval '1 month')::timestamp at time zone 'UTC' > {before}
""",
    "archive": "select min({clock}) from {table} where {clock} >= {before}",
    "leave": """
select (date_trunc('month', min({clock}) at time zone 'UTC') + interval '1 month') at time zone 'UTC'
from {table}
where {clock} >= date_trunc('month', {before}, 'UTC')
""",
    "purge": """
select (min(d.month) + interval '1 month')::timestamp at time zone 'UTC'
from ops.departures as d
where
    d.table_name = {name}
    and d.removed_at is not null
    and (d.month + interval '1 month')::timestamp at time zone 'UTC' > {before}
""",
}

RETIRED_PATTERNS = """
select h.id, {is_free} as is_free
from traceability.success_patterns as h
join marts.pattern_effectiveness as e on h.id::text = e.pattern_id
where
    e.verdict = any(%(states)s)
    and coalesce(h.last_used_at, h.created_at) < %(before)s
    and not exists (select from history.traceability__pattern_usage_log as l where l.pattern_id = h.id)
    and not exists (
        select from history.traceability__agent_routing_decisions as d where d.pattern_id = h.id
    )
"""


@dataclass(frozen=True)
class Policy:
    """One row of the seed, its terms as moments: what is older is due."""

    table_name: str
    clock: str | None
    state_column: str | None
    states: list[str] | None
    together_by: str | None
    active_before: datetime | None
    leaves_before: datetime | None
    purged_before: datetime | None
    is_archived: bool
    terms: list[str | None]
    ending: str
    survivor: str | None
    words: str
    payload_columns: str | None
    payload_before: datetime | None
    is_monthly: bool
    archive: str  # of its table, if it has one


@dataclass(frozen=True)
class Refusal:
    """Why rows stay: one of KINDS, and in words."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Step:
    """One thing to be done with rows of a table.

    Attributes:
        action: archive, strip (blank payloads), prune (delete patterns), leave (the database), purge (their
            files), wait (until `due_on`) or keep.
        month: Of whole months, the first day.
        due: Of rows, for `ops.is_due`.
        size: About how many bytes they take, with their indexes.
        oldest: Their first time.
        refusals: Why some or all of them stay.
        is_refused: Whether that is all of them.
        due_on: When there is something to do; null for now.
    """

    policy: Policy
    action: str
    month: date | None = None
    due: dict[str, Any] | None = None
    rows: int = 0
    size: int = 0
    oldest: datetime | None = None
    refusals: tuple[Refusal, ...] = ()
    is_refused: bool = False
    due_on: date | None = None

    @property
    def held_back(self) -> str | None:
        """Why some or all of them stay, in words."""
        return "; ".join(dict.fromkeys(refusal.reason for refusal in self.refusals)) or None


@dataclass
class Outcome:
    """What was done with a table, or why it was not."""

    table_name: str
    rows: dict[str, int] = field(default_factory=dict)
    size: int = 0
    waits: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    failure: str | None = None

    @property
    def is_worth_telling(self) -> bool:
        """Whether anything was due."""
        return bool(self.rows or self.waits or self.failure)

    def fail(self, why: str) -> None:
        """Add why one of the table's policies failed."""
        self.failure = f"{self.failure}; {why}" if self.failure else why

    def sentence(self) -> str:
        """Tell it in one line."""
        idle = "nothing done" if self.waits or self.failure else "nothing due"
        done = ", ".join(f"{action} {rows}" for action, rows in self.rows.items()) or idle
        told = [f"{self.table_name}: {done}", *dict.fromkeys(self.waits)]
        return "; ".join(told + ([f"failed: {self.failure}"] if self.failure else []))


def lint(connection: psycopg.Connection) -> list[str]:
    """Tell why the policies cannot work, or expect rows too early, a sentence each."""
    with _told("lint"):
        faults = _faults(connection)
        late = connection.execute("select ops.rows_after_archiving()").fetchall()
    return [*faults, *sorted(sentence for (sentence,) in late)]


def plan(
    connection: psycopg.Connection, as_of: datetime, tables: Collection[str] | None = None
) -> list[Step]:
    """Tell what is due, in the order in which it would be done; reads only.

    Raises:
        AgentbooksError: There is no such table among the policies, or a policy cannot be read.
    """
    with _told("plan"):
        return [
            step
            for policy in _policies(connection, as_of, tables)
            for step in _steps(connection, policy, as_of)
        ]


def enforce(
    connection: psycopg.Connection,
    as_of: datetime,
    tables: Collection[str] | None = None,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Do what is due, table by table and policy by policy; a failure stops none of the others.

    Args:
        connection: In autocommit mode, as each step is a transaction of its own.
        as_of: The moment from which terms count back.
        tables: The only tables to look at.
        tell: Called after each table.

    Raises:
        AgentbooksError: The policies cannot work, there is none for a table, or the day has not come.
    """
    with _told("enforce"):
        (today,) = _row(connection, "select (now() at time zone 'UTC')::date")
        if as_of.astimezone(UTC).date() > today:
            raise AgentbooksError(
                f"retention: nothing was touched, as {as_of.date()} has not come: the database's clock says "
                f"{today}. Give an earlier day, or set this machine's clock; `plan` takes any day."
            )
        findings = _faults(connection)
        _sync_rights(connection)
        if findings:
            more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
            raise AgentbooksError(
                f"retention: nothing was touched, as policies cannot work: {findings[0]}{more}"
            )
        policies = _policies(connection, as_of, tables)
    outcomes = []
    for name, group in groupby(policies, key=lambda policy: policy.table_name):
        outcome = Outcome(name)
        for policy in group:
            _enforce(connection, policy, as_of, outcome)
        outcomes.append(outcome)
        tell(outcome)
    return outcomes


def _enforce(
    connection: psycopg.Connection, policy: Policy, as_of: datetime, outcome: Outcome
) -> None:
    try:
        with database.alone(connection, cold_archive.LIFECYCLE):
            for step in _steps(connection, policy, as_of):
                _do(connection, step, outcome)
    except cold_archive.RefusedError as error:
        outcome.waits.append(str(error))
        outcome.refusals.append(Refusal(_known_kind(error.kind), str(error)))
    except AgentbooksError as error:
        outcome.fail(str(error))
    except psycopg.Error as error:
        outcome.fail(database.first_line(error))
    except Exception as error:  # whatever it is, the other tables are due
        outcome.fail(f"unexpected {type(error).__name__} ({error})")


def lines(steps: list[Step]) -> Iterator[str]:
    """Write a plan as a table; the months of a table are one line."""
    layout = "{:<40} {:<8} {:>12} {:>10} {:<12} {:<12} {}"
    yield layout.format("table", "action", "rows", "MB", "oldest", "due", "held back")
    for step in _by_action(steps):
        oldest = step.oldest.strftime("%Y-%m-%d") if step.oldest else ""
        yield layout.format(
            step.policy.table_name,
            step.action,
            step.rows,
            f"{step.size / 1e6:.1f}",
            oldest,
            "" if step.action == "keep" else str(step.due_on or "now"),
            step.held_back or "",
        ).rstrip()


def _by_action(steps: list[Step]) -> Iterator[Step]:
    for _, group in groupby(steps, key=lambda step: (step.policy.table_name, step.action)):
        same = list(group)
        yield replace(
            same[0],
            rows=sum(step.rows for step in same),
            size=sum(step.size for step in same),
            oldest=min((step.oldest for step in same if step.oldest), default=None),
            refusals=tuple(refusal for step in same for refusal in step.refusals),
            due_on=min((step.due_on for step in same if step.due_on), default=None),
        )


def _policies(
    connection: psycopg.Connection, as_of: datetime, tables: Collection[str] | None
) -> list[Policy]:
    _need_seed(connection)
    with connection.cursor(row_factory=class_row(Policy)) as cursor:
        policies = cursor.execute(POLICIES, {"as_of": as_of}).fetchall()
    # What hangs under other rows goes before them.
    order: TopologicalSorter[str] = TopologicalSorter(
        {policy.table_name: () for policy in policies}
    )
    for parent, child in connection.execute(KEYS).fetchall():
        order.add(parent, child)
    places = {name: place for place, name in enumerate(order.static_order())}
    policies.sort(key=lambda policy: places[policy.table_name])
    if tables is None:
        return policies
    unknown = set(tables) - {policy.table_name for policy in policies}
    if unknown:
        raise AgentbooksError(
            f"retention: {min(unknown) or 'an empty name'} has no policy; see seeds/retention_policies.csv."
        )
    return [policy for policy in policies if policy.table_name in tables]


def _faults(connection: psycopg.Connection) -> list[str]:
    _need_seed(connection)
    rows = connection.execute("select ops.retention_findings(%s)", (SEED,)).fetchall()
    return sorted(finding for (finding,) in rows)


def _sync_rights(connection: psycopg.Connection) -> None:
    try:
        connection.execute("select ops.sync_archive_rights()")
    except psycopg.Error as error:
        raise AgentbooksError(
            "retention enforce: nothing was touched, as an archive could not be given the policies of its "
            f"table: {database.first_line(error)}."
        ) from error


def _need_seed(connection: psycopg.Connection) -> None:
    if connection.execute("select to_regclass(%s)", (SEED,)).fetchone() == (None,):
        raise AgentbooksError(f"retention: there is no {SEED}; run `dbt seed` first.")


def _steps(connection: psycopg.Connection, policy: Policy, as_of: datetime) -> Iterator[Step]:
    if policy.active_before is None:
        yield _kept(connection, policy)
        return
    if policy.state_column == "verdict":
        yield _pruning(connection, policy)
        return
    overrides = (
        connection.cursor(row_factory=dict_row)
        .execute(OVERRIDES, {"as_of": as_of, "table": policy.table_name, "clock": policy.clock})
        .fetchall()
    )
    if policy.payload_before is not None:
        for due in _dues(policy, policy.payload_before, overrides, "payload_before"):
            yield _stripping(connection, policy, due)
    if policy.is_archived and policy.is_monthly:
        for month in _months(connection, policy, policy.table_name, policy.active_before):
            yield replace(month, action="archive")
    elif policy.is_archived:
        for due in _dues(policy, policy.active_before, overrides, "active_before"):
            yield _moving(connection, policy, due)
    if policy.leaves_before is not None:
        yield from _leaving(connection, policy, overrides)
    if policy.purged_before is not None:
        yield from _purging(connection, policy, overrides)
    yield from _waiting(connection, policy)


def _dues(
    policy: Policy, before: datetime, overrides: list[dict[str, Any]], term: str
) -> Iterator[dict[str, Any]]:
    """Tell what `ops.is_due` needs: once for most tenants, once for each that has a term of its own."""
    due: dict[str, Any] = {"clock": policy.clock, "before": before.isoformat()}
    own = [row for row in overrides if row[term] is not None]
    if not own:
        yield due
        return
    yield {**due, "other_tenants": [row["tenant_id"] for row in own]}
    for row in own:
        yield {**due, "before": row[term].isoformat(), "tenants": [row["tenant_id"]]}


def _kept(connection: psycopg.Connection, policy: Policy) -> Step:
    rows, size = _row(
        connection,
        sql.SQL("select count(*), pg_total_relation_size({}::regclass) from {}").format(
            policy.table_name, _table(policy.table_name)
        ),
    )
    return Step(policy, "keep", rows=rows, size=size)


def _pruning(connection: psycopg.Connection, policy: Policy) -> Step:
    if connection.execute("select to_regclass('marts.pattern_effectiveness')").fetchone() == (
        None,
    ):
        return Step(
            policy,
            "prune",
            refusals=(Refusal("other", "waits for the mart pattern_effectiveness"),),
            is_refused=True,
        )
    retired = _retired(connection, policy)
    rows_sql = sql.SQL("select * from {} where id = any({}::uuid[])").format(
        _table(policy.table_name), sql.Literal(list(map(str, retired)))
    )
    holds = connection.execute(
        "select hold_id, held_rows from ops.holds_on(%s, %s)",
        (policy.table_name, rows_sql.as_string(connection)),
    )
    return Step(
        policy,
        "prune",
        rows=sum(retired.values()),
        refusals=tuple(
            Refusal("legal_hold", f"legal hold {hold} covers {rows} rows") for hold, rows in holds
        ),
    )


def _stripping(connection: psycopg.Connection, policy: Policy, due: dict[str, Any]) -> Step:
    rows, size, oldest, held = _row(
        connection,
        "select stripped, bytes, oldest, held from ops.strip_payloads(%s, %s, %s, only_count => true)",
        (policy.table_name, policy.payload_columns, Jsonb(due)),
    )
    refusals = tuple(
        Refusal("legal_hold", f"legal hold {hold} covers {kept} rows")
        for hold, kept in held.items()
    )
    return Step(policy, "strip", due=due, rows=rows, size=size, oldest=oldest, refusals=refusals)


def _moving(connection: psycopg.Connection, policy: Policy, due: dict[str, Any]) -> Step:
    if policy.state_column:
        states = policy.states or []
        named = {"other_states": states[1:]} if states[:1] == ["not"] else {"states": states}
        due = {**due, "state_column": policy.state_column, **named}
    if policy.together_by:
        due = {**due, "together_by": policy.together_by}
    is_due, is_free = _row(
        connection,
        "select ops.is_due(%(table)s, %(due)s), ops.due_rows(%(table)s, %(due)s)",
        {"table": policy.table_name, "due": Jsonb(due)},
    )
    rows, held, oldest, size = _row(
        connection,
        sql.SQL(
            "select count(*) filter (where is_free), count(*) filter (where not is_free), min(at) filter "
            "(where is_free), coalesce(sum(bytes) filter (where is_free), 0)::bigint from ("
            "select h.{} as at, pg_column_size(h.*) as bytes, {} as is_free from {} as h where {}) as d"
        ).format(
            sql.Identifier(policy.clock or ""),
            sql.SQL(is_free),
            _table(policy.table_name),
            sql.SQL(is_due),
        ),
    )
    reason = f"{held} rows that others lean on, or whose tree is at work"
    refusals = (Refusal("still_active", reason),) if held else ()
    return Step(policy, "archive", due=due, rows=rows, size=size, oldest=oldest, refusals=refusals)


def _months(
    connection: psycopg.Connection, policy: Policy, parent: str, before: datetime
) -> Iterator[Step]:
    months = connection.execute(MONTHS, {"parent": parent, "before": before}).fetchall()
    for month, size in months:
        # By the whole table, as rights on it are none on its partitions.
        rows, oldest = _row(
            connection,
            sql.SQL("select count(*), min({0}) from {1} where {0} >= %s and {0} < %s").format(
                sql.Identifier(policy.clock or ""), _table(parent)
            ),
            (datetime.combine(month, datetime.min.time(), UTC), _end(month)),
        )
        yield Step(policy, "leave", month=month, rows=rows, size=size, oldest=oldest)


def _leaving(
    connection: psycopg.Connection, policy: Policy, overrides: list[dict[str, Any]]
) -> Iterator[Step]:
    before = policy.leaves_before
    place = policy.archive if policy.is_archived else policy.table_name
    if before is not None and policy.is_monthly:
        months = list(_months(connection, policy, place, before))
    else:
        months = [
            Step(policy, "leave", month=month, rows=rows, size=size, oldest=oldest)
            for month, rows, size, oldest in connection.execute(
                sql.SQL(
                    "select date_trunc('month', {0}, 'UTC')::date, count(*), "
                    "sum(pg_column_size(h.*))::bigint, min({0}) "
                    "from {1} as h where {0} < date_trunc('month', %s, 'UTC') group by 1 order by 1"
                ).format(sql.Identifier(policy.clock or ""), _table(place)),
                (before,),
            ).fetchall()
        ]
    for step in months:
        refusals = tuple(_refusals(connection, step, overrides))
        # What waits for a refresh is asked again when its days are frozen.
        is_refused = any(refusal.kind != "unsealed_mart" for refusal in refusals)
        yield replace(step, refusals=refusals, is_refused=is_refused)


def _known_kind(kind: str | None) -> str:
    return kind if kind in KINDS else "other"


def _refusals(
    connection: psycopg.Connection,
    step: Step,
    overrides: list[dict[str, Any]],
) -> Iterator[Refusal]:
    """Tell what keeps a month from leaving that is not done on its way: freezing and copying are."""
    where = {"table": step.policy.table_name, "month": step.month}
    found = connection.execute(REFUSALS, {**where, "on_the_way": list(ON_THE_WAY)}).fetchall()
    for kind, reason in found:
        yield Refusal(_known_kind(kind), reason)
    for tenant, until in _longer(connection, step, overrides, "leaves_before", 2):
        rows_sql = _row(connection, "select ops.month_rows(%(table)s, %(month)s)", where)[0]
        (rows,) = _row(
            connection,
            sql.SQL("select count(*) from {} where r.tenant_id = %s").format(_subquery(rows_sql)),
            (tenant,),
        )
        if rows:
            yield Refusal("tenant_override", f"tenant {tenant} keeps {rows} rows until {until}")
    (unsealed,) = _row(connection, UNSEALED, where)
    if unsealed:
        yield Refusal("unsealed_mart", f"changes wait to be counted in {unsealed}; run dbt first")
    elif step.policy.survivor and not step.policy.survivor.startswith("ops."):
        (rows_sql,) = _row(connection, "select ops.month_rows(%(table)s, %(month)s)", where)
        yield from _survival(connection, step, _totals(connection, step, rows_sql))


def _purging(
    connection: psycopg.Connection, policy: Policy, overrides: list[dict[str, Any]]
) -> Iterator[Step]:
    table = policy.table_name
    due = connection.execute(PURGES, {"table": table, "before": policy.purged_before}).fetchall()
    for month, rows, size, kept_until, is_begun in due:
        step = Step(policy, "purge", month=month, rows=rows, size=size)
        holds = connection.execute("select ops.holds_on_departed(%s, %s)", (table, month))
        refusals = [Refusal("legal_hold", f"legal hold {hold} covers it") for (hold,) in holds]
        if kept_until:
            refusals.append(
                Refusal("other", f"it has just left; its files stay until {kept_until}")
            )
        longer = dict(_longer(connection, step, overrides, "purged_before", 3))
        if longer:
            tenants = set(_archived(connection, step, "tenant_id"))
            refusals += [
                Refusal("tenant_override", f"tenant {tenant} keeps rows until {until}")
                for tenant, until in longer.items()
                if tenant in tenants
            ]
        # A purge that was cut short has compared them, and its file may be gone.
        if policy.ending == "aggregate" and not is_begun:
            refusals += _survival(connection, step, _file_totals(connection, step))
        yield replace(step, refusals=tuple(refusals), is_refused=bool(refusals))


def _longer(
    connection: psycopg.Connection,
    step: Step,
    overrides: list[dict[str, Any]],
    term: str,
    stages: int,
) -> Iterator[tuple[str, date]]:
    """Tell which tenants keep a month for longer, and until when."""
    end = _end(step.month or date.min)
    for row in overrides:
        if end > row[term]:
            yield row["tenant_id"], _after(connection, end, row["terms"][:stages])


def _after(connection: psycopg.Connection, moment: datetime, terms: list[str | None]) -> date:
    """Add terms in the order in which they are counted back."""
    days: date = _row(
        connection,
        "select (%s::timestamptz + %s::interval + %s::interval + %s::interval)::date",
        (moment, *[term or "0" for term in reversed([*terms, None, None][:3])]),
    )[0]
    return days


def _survival(connection: psycopg.Connection, step: Step, wanted: list[Any]) -> Iterator[Refusal]:
    """Compare what stays of a month with its rows: their number, and the sums that the policy names."""
    name, counted, *sums = (step.policy.survivor or "").split()
    if connection.execute("select to_regclass(%s)", (name,)).fetchone() == (None,):
        yield Refusal("incomplete_survivor", f"waits for {name}, which says what its rows said")
        return
    grain = connection.execute(
        "select grain_column from ops.refreshes where target = %s", (name,)
    ).fetchone()
    columns: list[sql.Composable] = [sql.SQL("count(*)") if counted == "*" else _sum(counted)]
    columns += [_sum(pair.partition("=")[0]) for pair in sums]
    month = step.month or date.min
    found = _row(
        connection,
        sql.SQL("select {} from {} where {} >= %s and {} < %s").format(
            sql.SQL(", ").join(columns),
            _table(name),
            *[sql.Identifier(grain[0] if grain else "day")] * 2,
        ),
        (month, _end(month).date()),
    )
    if list(found) != wanted:
        yield Refusal(
            "incomplete_survivor",
            f"{name} has {', '.join(map(str, found))} of it, its rows {', '.join(map(str, wanted))}",
        )


def _totals(connection: psycopg.Connection, step: Step, rows_sql: str) -> list[Any]:
    _, _, *sums = (step.policy.survivor or "").split()
    columns: list[sql.Composable] = [
        sql.SQL("count(*)"),
        *(_sum(pair.partition("=")[2]) for pair in sums),
    ]
    query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(columns), _subquery(rows_sql))
    return list(_row(connection, query))


def _file_totals(connection: psycopg.Connection, step: Step) -> list[Any]:
    _, _, *sums = (step.policy.survivor or "").split()
    return [step.rows] + [
        sum(
            (
                Decimal(str(v))
                for v in _archived(connection, step, pair.partition("=")[2])
                if v is not None
            ),
            Decimal(0),
        )
        for pair in sums
    ]


def _archived(connection: psycopg.Connection, step: Step, column: str) -> Iterator[Any]:
    """Read a column of a month that has left."""
    archive = cold_archive.Archive.chosen()
    for batch in cold_archive.read_month(
        connection, archive, step.policy.table_name, step.month or date.min, (column,)
    ):
        yield from batch[0].to_pylist()


def _sum(column: str) -> sql.Composable:
    return sql.SQL("coalesce(sum({}), 0)").format(sql.Identifier(column))


def _end(month: date) -> datetime:
    return datetime.combine(cold_archive.following(month), datetime.min.time(), UTC)


def _waiting(connection: psycopg.Connection, policy: Policy) -> Iterator[Step]:
    """Tell when the next thing becomes due."""
    place = policy.archive if policy.is_archived else policy.table_name
    stages = {
        "archive month" if policy.is_monthly else "archive": (
            policy.table_name,
            policy.active_before if policy.is_archived else None,
        ),
        "leave": (place, policy.leaves_before),
        "purge": (policy.table_name, policy.purged_before),
    }
    due_on = []
    for stage, (what, (where, before)) in enumerate(stages.items(), 1):
        if before is None:
            continue
        query = sql.SQL(NEXT[what]).format(
            name=sql.Literal(where),
            table=_table(where),
            clock=sql.Identifier(policy.clock or ""),
            before=sql.Literal(before),
        )
        (first,) = _row(connection, query)
        if first is not None:
            due_on.append(_after(connection, first, policy.terms[:stage]))
    if due_on:
        yield Step(policy, "wait", due_on=min(due_on))


def _do(connection: psycopg.Connection, step: Step, outcome: Outcome) -> None:
    table = step.policy.table_name
    # Of single rows those that are free move all the same.
    if step.is_refused or (step.action == "archive" and step.refusals):
        outcome.waits.append(f"{step.month or step.action}: {step.held_back}")
        outcome.refusals += step.refusals
    if step.is_refused:
        if step.action == "leave" and any(r.kind == "late_rows" for r in step.refusals):
            # A month that stayed although it was frozen: the next refresh counts what came since.
            connection.execute("select ops.thaw_month(%s, %s)", (table, step.month))
        return
    if step.rows == 0 and step.action != "purge":
        return
    done = 0
    if step.action == "archive" and step.month is not None:
        connection.execute("select ops.archive_month(%s, %s)", (table, step.month))
        done = step.rows
    elif step.action == "archive":
        done = archive_rows(connection, table, step.due or {})
    elif step.action == "strip":
        done = _strip(connection, step)
    elif step.action == "prune":
        done = _prune(connection, step.policy)
    elif step.action == "leave":
        done = cold_archive.remove_month(
            connection, cold_archive.Archive.chosen(), table, step.month or date.min
        ).rows
    elif step.action == "purge":
        done = cold_archive.purge_month(
            connection,
            cold_archive.Archive.chosen(),
            table,
            step.month or date.min,
            step.policy.words,
        )
    else:
        return
    outcome.rows[step.action] = outcome.rows.get(step.action, 0) + done
    outcome.size += step.size


def archive_rows(connection: psycopg.Connection, table: str, due: dict[str, Any]) -> int:
    """Move what is due of a table in one piece into its archive; return how many rows."""
    total = 0
    while moved := _batch(
        connection, "select ops.archive_rows(%s, %s, %s)", (table, Jsonb(due), BATCH)
    )[0]:
        total += moved
    return total


def _strip(connection: psycopg.Connection, step: Step) -> int:
    policy, total, place = step.policy, 0, None
    while True:
        stripped, place = _batch(
            connection,
            "select stripped, place from ops.strip_payloads(%s, %s, %s, %s, after => %s)",
            (policy.table_name, policy.payload_columns, Jsonb(step.due), BATCH, place),
        )
        total += int(stripped)
        if place is None:
            return total


def _batch(
    connection: psycopg.Connection, call: str, parameters: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Treat a batch of rows and rest."""
    started = time.perf_counter()
    told = _row(connection, call, parameters)
    time.sleep(REST * (time.perf_counter() - started))
    return told


def _prune(connection: psycopg.Connection, policy: Policy) -> int:
    with connection.transaction():
        # Whoever places a hold waits, or is waited for.
        connection.execute(
            "select pg_advisory_xact_lock_shared(hashtextextended('ops.lifecycle', 0))"
        )
        connection.execute("select set_config('agentbooks.prune_reason', %s, true)", (RETIRED,))
        free = [pattern for pattern, is_free in _retired(connection, policy).items() if is_free]
        return connection.execute(
            "delete from traceability.success_patterns where id = any(%s)", (free,)
        ).rowcount


def _retired(connection: psycopg.Connection, policy: Policy) -> dict[UUID, bool]:
    """Find the patterns that are due, and whether no legal hold covers them."""
    (is_free,) = _row(connection, "select ops.free_condition(%s)", (policy.table_name,))
    query = sql.SQL(RETIRED_PATTERNS).format(is_free=sql.SQL(is_free.replace("%", "%%")))
    rows = connection.execute(query, {"states": policy.states, "before": policy.active_before})
    return dict(rows.fetchall())


def _row(connection: psycopg.Connection, query: Any, parameters: Any = None) -> tuple[Any, ...]:
    return connection.execute(query, parameters).fetchall()[0]


def _subquery(rows_sql: str) -> sql.Composed:
    return sql.SQL("({}) as r").format(sql.SQL(rows_sql))


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise AgentbooksError(
            f"retention {what}: {error.diag.message_primary}; it needs a role in agentbooks_retention and "
            "agentbooks_refresher."
        ) from error
    except psycopg.Error as error:
        reason = database.first_line(error)
        advice = "`agentbooks retention lint` tells which policy is meant"
        raise AgentbooksError(
            f"retention {what}: {reason}{f'; {advice}' if what != 'lint' else ''}."
        ) from error
