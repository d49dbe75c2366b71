"""Distributions that can be added up: functions over sketches, and the marts that hold them.

The bounds of the buckets and the exact percentiles are computed here a second time, in plain Python.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import islice
from math import ceil, nextafter
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration import loader, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer
    from refreshing import Refresher

    Connect = Callable[[str], psycopg.Connection]
    Sketch = dict[str, int]

FRACTIONS = [Decimal(f) for f in ("0", "0.01", "0.5", "0.9", "0.95", "0.99", "1")]

positive = st.decimals("1e-9", "1e12", allow_nan=False) | st.integers(1, 9).map(Decimal)
values = st.lists(positive | st.just(Decimal(0)), min_size=1, max_size=60)
fractions = st.sampled_from(FRACTIONS) | st.decimals(0, 1, places=4)


def bounds() -> list[float]:
    """Compute the lower bounds of the buckets."""
    with localcontext(prec=60):
        bound = Decimal("1e-12")
        found: list[float] = []
        while len(found) < 3140:
            found.append(float(bound))
            bound = (bound * Decimal("1.02")).quantize(Decimal("1e-30"), ROUND_HALF_UP)
    return found


BOUNDS = bounds()


def nearest_rank(observed: list[Decimal], fraction: Decimal) -> Decimal:
    """Give the exact percentile."""
    return sorted(observed)[max(ceil(fraction * len(observed)), 1) - 1]


def value(connection: psycopg.Connection[Any], query: str, *parameters: object) -> Any:
    """Run a query for its only value."""
    with connection.transaction():
        row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def sketch(connection: psycopg.Connection[Any], observed: list[Decimal]) -> Sketch:
    """Build a sketch."""
    found: Sketch = value(
        connection, "select sketches.sketch(v) from unnest(%s::numeric[]) as v", observed
    )
    return found


def merge(connection: psycopg.Connection[Any], parts: list[Sketch]) -> Sketch:
    """Add sketches up."""
    found: Sketch = value(
        connection,
        "select sketches.merge(p) from unnest(%s::jsonb[]) as p",
        [json.dumps(part) for part in parts],
    )
    return found


# Functions


@settings(deadline=None, max_examples=300)
@given(observed=values, fraction=fractions)
def test_a_percentile_is_at_most_one_per_cent_off(
    module_connection: psycopg.Connection, observed: list[Decimal], fraction: Decimal
) -> None:
    """A percentile that looks as exact as a sum and is not what it says."""
    found = value(
        module_connection,
        "select sketches.percentile(%s, %s)",
        json.dumps(sketch(module_connection, observed)),
        fraction,
    )
    exact = nearest_rank(observed, fraction)
    assert abs(found - exact) <= exact / 100


@settings(deadline=None, max_examples=200)
@given(parts=st.lists(values, min_size=1, max_size=6), data=st.data())
def test_merged_sketches_are_the_sketch_of_all_values_in_any_order(
    module_connection: psycopg.Connection, parts: list[list[Decimal]], data: st.DataObject
) -> None:
    """A month that depends on whether days or weeks were added up, or on which came first."""
    whole = sketch(module_connection, [v for part in parts for v in part])
    sketched = [sketch(module_connection, part) for part in parts]
    assert merge(module_connection, sketched) == whole
    assert merge(module_connection, data.draw(st.permutations(sketched))) == whole
    cut = data.draw(st.integers(0, len(sketched)))
    halves = [merge(module_connection, half) for half in (sketched[:cut], sketched[cut:]) if half]
    assert merge(module_connection, halves) == whole
    counted = value(module_connection, "select sketches.observations(%s)", json.dumps(whole))
    assert counted == sum(map(len, parts))


def test_buckets_are_the_same_on_every_server(server: TestServer, connect: Connect) -> None:
    """A sketch sealed on one version or machine whose buckets mean something else on the next."""
    connection = connect(server.database())
    assert value(connection, "select sketches.bounds()") == BOUNDS
    edges = [
        Decimal(edge)
        for bound in islice(BOUNDS, 1, None, 13)
        for edge in (nextafter(bound, 0), bound, nextafter(bound, 1e18))
    ]
    found = connection.execute(
        "select sketches.bucket(v) from unnest(%s::numeric[]) with ordinality as u (v, n) order by n",
        (edges,),
    ).fetchall()
    assert [bucket for (bucket,) in found] == [bisect_right(BOUNDS, float(e)) for e in edges]
    stands_for = connection.execute(
        "select sketches.bucket_value(b) from generate_series(1, 3140) as b order by b"
    ).fetchall()
    assert [v for (v,) in stands_for] == [Decimal(f"{b:.15g}") * Decimal("1.0099") for b in BOUNDS]


@pytest.mark.parametrize(
    ("observed", "bucket"),
    [("0", 0), ("1e-400", 0), ("-1e-13", 0), ("1e-12", 1), ("-1", -1396), ("1", 1396), ("1e15", 3140),
     ("1e400", 3140), ("-1e400", -3140), ("Infinity", 3140), ("NaN", 3140), (None, None)],
)  # fmt: skip
def test_values_beyond_all_bounds_have_a_bucket_too(
    transaction: psycopg.Connection, observed: str | None, bucket: int | None
) -> None:
    """One absurd duration on which every refresh of its day fails."""
    assert value(transaction, "select sketches.bucket(%s::numeric)", observed) == bucket


def test_values_below_zero_keep_their_order(transaction: psycopg.Connection) -> None:
    """A credit note that counts as a cost."""
    credit = sketch(transaction, [Decimal(-100), Decimal(-1), Decimal(0), Decimal(5)])
    low, middle = (
        value(transaction, "select sketches.percentile(%s, %s)", json.dumps(credit), fraction)
        for fraction in (Decimal(0), Decimal("0.5"))
    )
    assert low == pytest.approx(Decimal(-100), rel=Decimal("0.01"))
    assert middle == pytest.approx(Decimal(-1), rel=Decimal("0.01"))


def test_nothing_has_no_percentile_and_nulls_are_nothing(transaction: psycopg.Connection) -> None:
    """A day without calls that is shown as one of instant answers."""
    assert sketch(transaction, []) == {}
    for empty in ("'{}'", "sketches.sketch(null)", "sketches.merge(null)", "sketches.merge('{}')"):
        assert value(transaction, f"select sketches.percentile({empty}, 0.5)") is None, empty
        assert value(transaction, f"select sketches.observations({empty})") == 0, empty
    some = value(transaction, "select sketches.sketch(v) from (values (1), (null)) as u (v)")
    assert some == {"1396": 1}


@pytest.mark.parametrize("fraction", ["95", "-0.1", "NaN"])
def test_a_percentile_of_95_is_told_to_be_0_95(
    transaction: psycopg.Connection, fraction: str
) -> None:
    """A dashboard that shows the largest value as the 95th percentile."""
    with pytest.raises(psycopg.errors.NumericValueOutOfRange, match=r"write 0\.95 for"):
        transaction.execute("select sketches.percentile('{}', %s::numeric)", (fraction,))


def test_sketches_are_open_to_readers_of_marts_alone(transaction: psycopg.Connection) -> None:
    """Marts whose percentiles nobody can read, or functions at hand for callers without a login."""
    query = b"select sketches.percentile(sketches.merge(s), 0.5) from (values ('{\"0\": 1}'::jsonb)) as v (s)"
    for role in ("bi_reader", "agentbooks_refresher"):
        transaction.execute(f"set local role {role}".encode())
        assert transaction.execute(query).fetchone() == (0,)
    transaction.execute("set local role anon")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        transaction.execute(query)


# Marts

PERSON = "5e5e5e5e-0000-4000-8000-000000000001"
PERSONS_RUN = f"""
insert into observability.profiles (id, email) values ('{PERSON}', 'ada@example.org');
insert into observability.traces (workflow_id, execution_id, user_id, status, started_at)
select 'w', 'visit ' || day, '{PERSON}', 'completed', day
from generate_series('2026-06-20 10:00+00'::timestamptz, '2026-06-22 10:00+00', '1 day') as day
"""

# Each measure as rows: the exact values behind the sketches.
EXACT = """
select
    (calls.called_at at time zone 'UTC')::date as usage_date,
    runs.agent_key,
    calls.model_recorded,
    calls.payer,
    measure,
    case measure
        when 'llm_call_ms' then calls.duration_ms
        else (
            select sum(t)
            from unnest(array[calls.input_tokens, calls.output_tokens, calls.unsplit_tokens]) as t
        )
    end as value
from intermediate.int_llm_calls__unioned as calls
inner join marts.agent_runs as runs using (source_system, run_id)
cross join unnest(array['llm_call_ms', 'llm_call_tokens']) as measure
union all
select (calls.called_at at time zone 'UTC')::date, runs.agent_key, null, calls.payer, 'tool_call_ms',
    calls.duration_ms
from intermediate.int_tool_calls__unioned as calls
inner join marts.agent_runs as runs using (source_system, run_id)
union all
select run_date, agent_key, model_recorded, null, measure,
    case measure when 'run_ms' then duration_ms else cost_usd end
from marts.agent_runs
cross join unnest(array['run_ms', 'run_cost_usd']) as measure
"""


@pytest.fixture(scope="module")
def refresher(
    empty_marts: Callable[[], Refresher], tmp_path_factory: pytest.TempPathFactory
) -> Refresher:
    """Simulated runs, those of one person beside them, and the marts over both."""
    path = tmp_path_factory.mktemp("runs") / "simulated.ndjson"
    simulate.write(path, days=14, runs_per_day=30, seed=7)
    built = empty_marts()
    with psycopg.connect(built.url, autocommit=True) as connection:
        assert loader.load_agent_runs(connection, [path]).rejected == 0
        connection.execute(PERSONS_RUN.encode())
        built.refresh(connection)
    return built


@pytest.fixture
def marts(refresher: Refresher) -> Iterator[psycopg.Connection[Any]]:
    """A connection to that database."""
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("what", "grain"),
    [
        ("each day", "usage_date, payer, measure"),
        ("all days", "payer, measure"),
        ("a week", "date_trunc('week', usage_date), measure"),
        ("agents", "agent_key, measure"),
        ("models by day", "usage_date, model_recorded, measure"),
    ],
)
def test_percentiles_over_any_days_and_dimensions_are_right(
    marts: psycopg.Connection[Any], what: str, grain: str
) -> None:
    """Values lost, doubled or filed under another day, agent or model on their way into a sketch."""
    observed: dict[tuple[Any, ...], list[Decimal]] = {}
    query = f"select {grain}, value from ({EXACT}) as exact where value is not null"
    for *group, number in marts.execute(query.encode()):
        observed.setdefault(tuple(group), []).append(number)
    found = {
        tuple(group): (sketched, percentiles)
        for *group, sketched, percentiles in marts.execute(
            f"""
            select {grain}, sketches.merge(sketch), (
                    select array_agg(sketches.percentile(sketches.merge(sketch), f) order by n)
                    from unnest(%s::numeric[]) with ordinality as u (f, n)
                )
            from marts.distributions_daily group by {grain}
            """.encode(),
            (FRACTIONS,),
        )
    }
    assert found.keys() == observed.keys(), f"mend distributions_daily: {what}"
    assert len({group[-1] for group in found}) == 5, "simulate runs that have every measure"
    for group, numbers in observed.items():
        sketched, percentiles = found[group]
        assert sketched == sketch(marts, numbers), group
        for fraction, percentile in zip(FRACTIONS, percentiles, strict=True):
            exact = nearest_rank(numbers, fraction)
            assert abs(percentile - exact) <= exact / 100, (group, fraction)


def test_a_days_percentiles_stand_in_latency_daily(marts: psycopg.Connection[Any]) -> None:
    """A column p95 that is the 90th percentile, or of another measure."""
    exact = {
        tuple(group): percentiles
        for *group, percentiles in marts.execute(
            f"""
            select usage_date, payer, measure,
                percentile_disc(array[0.5, 0.9, 0.95, 0.99]) within group (order by value)
            from ({EXACT}) as exact where value is not null group by usage_date, payer, measure
            """.encode()
        )
    }
    found = marts.execute(
        b"select usage_date, payer, measure, array[p50, p90, p95, p99] from marts.latency_daily"
    ).fetchall()
    assert {tuple(group) for *group, _ in found} == exact.keys()
    for *group, percentiles in found:
        for percentile, number in zip(percentiles, exact[tuple(group)], strict=True):
            assert abs(percentile - number) <= number / 100, group


def test_a_corrected_duration_moves_only_its_day(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A duration corrected in the source that the sketches never hear of: nothing else of the run changes."""
    refresher.refresh(marts)
    marts.execute(
        b"""
        update observability.spans set duration_ms = 86400000
        where ctid = (
            select ctid from observability.spans
            where span_type = 'llm' and started_at >= '2026-06-20' and started_at < '2026-06-21' limit 1
        ) and started_at >= '2026-06-20' and started_at < '2026-06-21'
        """
    )
    done = refresher.refresh(marts)
    assert done["marts.distributions_daily"] == done["marts.latency_daily"] == "1 period"
    slowest = value(
        marts,
        "select max(sketches.percentile(sketch, 1)) from marts.latency_daily"
        " where measure = 'llm_call_ms' and usage_date = '2026-06-20'",
    )
    assert slowest == pytest.approx(Decimal(86400000), rel=Decimal("0.01"))
    assert refresher.differences(marts) == []


def test_users_and_agents_of_any_days_are_counted_exactly(marts: psycopg.Connection[Any]) -> None:
    """Daily counts added up, which count whoever comes back once more each day."""
    runs = marts.execute(b"select run_date, agent_key, user_key from marts.agent_runs").fetchall()
    found = marts.execute(
        b"""
        select date_trunc('week', usage_date)::date, count(distinct user_key), count(distinct agent_key),
            sum(runs)
        from marts.users_daily group by 1
        """
    ).fetchall()
    assert len(found) > 1
    weeks = {week: (users, agents, count) for week, users, agents, count in found}
    for week, counted in weeks.items():
        inside = [row for row in runs if 0 <= (row[0] - week).days < 7]
        users = {user for *_, user in inside if user}
        assert counted == (len(users), len({agent for _, agent, _ in inside}), len(inside))
        by_day = Counter((day, user) for day, _, user in inside if user)
        assert len(by_day) > len(users), "simulate users who come back"


def test_a_person_can_be_taken_out_of_all_days(
    marts: psycopg.Connection[Any], refresher: Refresher
) -> None:
    """A count of distinct users that cannot forget one."""
    refresher.refresh(marts)
    users = "select count(distinct user_key) from marts.users_daily"
    sketched = "select sum(hash_record_extended(d, 0)::numeric) from marts.distributions_daily as d"
    before, runs, distributions = (
        value(marts, query)
        for query in (users, "select sum(runs) from marts.users_daily", sketched)
    )
    marts.execute("delete from observability.profiles where id = %s", (PERSON,))
    refresher.refresh(marts)
    assert value(marts, users) == before - 1
    assert value(marts, "select sum(runs) from marts.users_daily") == runs
    assert value(marts, sketched) == distributions, "keep users out of the distributions"
