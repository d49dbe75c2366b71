"""What was billed stays, what is known now is restated, and every difference between them has a reason."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refreshing import Refresher

DAYS = range(1, 7)
# Every day a call at 08:00 and one at 18:00 of each model, with 1000 tokens in and 100 out.
RUNS = """
    insert into observability.traces
        (trace_id, workflow_id, execution_id, status, started_at, metadata)
    values ('00000000-0000-4000-8000-000000000001', 'wf', 'run', 'completed', '2026-03-01', '{}');
    insert into observability.spans
        (trace_id, span_type, name, status, started_at, model, tokens, cost)
    select
        '00000000-0000-4000-8000-000000000001', 'llm', 'call', 'completed',
        make_timestamptz(2026, 3, day, hour, 0, 0, 'UTC'), model,
        '{"prompt_tokens": 1000, "completion_tokens": 100}', cost
    from generate_series(1, 6) as day
    cross join (values (8), (18)) as hours (hour)
    cross join (values ('gpt-4.1', null), ('gpt-4.1', 0.5), ('gpt-4.1-mini', null)) as models (model, cost)
"""
BILLED = Decimal("0.0028")  # at 2 and 8 USD per million, of one call


class Book:
    """A built database with these calls and two models in its price book."""

    def __init__(self, refresher: Refresher) -> None:
        self.refresher = refresher
        self.connection = psycopg.connect(refresher.url, autocommit=True)

    def learn(self, known_from: str, reason: str, *inputs: tuple[str, int], above: int = 0) -> None:
        """Add an edition for gpt-4.1: first days, and what input costs from then on."""
        ends = [*(first for first, _ in inputs[1:]), None]
        for (first, price), end in zip(inputs, ends, strict=True):
            charges = [("output", 0, 8), ("input", above, price)]
            if above:
                charges.append(("input", 0, 2))
            for component, tier, usd in charges:
                self.connection.execute(
                    "insert into seeds.model_prices (provider, model, component, valid_from, valid_to,"
                    " tier_above_input_tokens, usd_per_million, source, known_from, reason)"
                    " values ('openai', 'gpt-4.1', %s, %s, %s, %s, %s, 'test', %s, %s)",
                    (component, first or None, end, tier, usd, known_from, reason),
                )

    def refresh(self) -> dict[str, str]:
        """Bring the tables up to date, and see that they are what a rebuild gives and add up."""
        done = self.refresher.refresh(self.connection)
        assert self.refresher.differences(self.connection) == []
        unexplained = self.connection.execute(
            """
            select day_model_key
            from (
                select
                    day_model_key,
                    billed_computed_cost_usd - restated_computed_cost_usd as computed,
                    billed_cost_usd - restated_cost_usd as cost
                from marts.cost_restated_daily
                union all
                select day_model_key, computed_delta_usd, cost_delta_usd from marts.cost_restatements
            ) as entries
            group by day_model_key
            having sum(computed) <> 0 or sum(cost) <> 0
            """
        ).fetchall()
        assert not unexplained, "billed and all deltas must give the restated cost"
        return done

    def costs(self, column: str, model: str = "gpt-4.1") -> list[Decimal]:
        """A cost of each day, in costs of a call."""
        rows = self.connection.execute(
            f"select sum({column}) from marts.cost_restated_daily where model = %s"
            " group by usage_date order by usage_date".encode(),
            (model,),
        ).fetchall()
        return [cost for (cost,) in rows]

    def restatements(self) -> list[tuple[Any, ...]]:
        """Day, reason, calls and difference of each restatement, by moment and day."""
        return self.connection.execute(
            "select extract(day from usage_date)::int, reason, llm_calls, computed_delta_usd, cost_delta_usd"
            " from marts.cost_restatements order by known_from, usage_date"
        ).fetchall()


@pytest.fixture(scope="module")
def built(empty_marts: Callable[[], Refresher]) -> Iterator[Book]:
    """The calls, and a price book of few models."""
    refresher = empty_marts()
    with psycopg.connect(refresher.url) as connection:
        connection.execute(RUNS)
    made = Book(refresher)
    made.connection.execute(
        "delete from seeds.model_prices where provider <> 'openai' or model not like 'gpt-4.1%'"
    )
    yield made
    made.connection.close()


@pytest.fixture
def book(built: Book) -> Book:
    """The calls, billed at the first edition."""
    built.connection.execute("delete from seeds.own_prices")
    built.connection.execute("delete from seeds.model_prices where source = 'test'")
    built.refresh()
    return built


def test_a_rise_that_is_announced_applied_and_cancelled_stays_explainable(book: Book) -> None:
    """A bill that nobody can explain any more, because a later price list has taken the place of its own."""
    of_day = BILLED * 4
    rise = Decimal("0.002") * 4  # twice the price of input
    assert book.costs("billed_computed_cost_usd") == [of_day] * 6

    book.learn("2026-03-02 09:00+00", "announced for the 4th", ("", 2), ("2026-03-04", 4))
    done = book.refresh()
    assert done["marts.cost_restated_daily"] == "6 key", "another model was restated too"
    assert book.costs("billed_computed_cost_usd") == [of_day] * 3 + [of_day + rise] * 3
    assert book.costs("restated_computed_cost_usd") == book.costs("billed_computed_cost_usd")
    assert book.restatements() == [], "who knew of it in time was billed by it"

    book.learn(
        "2026-03-05 12:00+00",
        "from the 3rd after all",
        ("", 2),
        ("2026-03-03", 4),
    )
    book.refresh()
    assert book.costs("billed_computed_cost_usd") == [of_day] * 3 + [of_day + rise] * 3
    assert book.costs("restated_computed_cost_usd") == [of_day] * 2 + [of_day + rise] * 4
    # Half of the calls reported what they cost, which no price list changes.
    assert book.restatements() == [(3, "from the 3rd after all", 4, rise, rise / 2)]
    assert book.costs("restated_cost_usd")[2] == book.costs("billed_cost_usd")[2] + rise / 2

    book.learn("2026-03-06 12:00+00", "cancelled", ("", 2))
    book.refresh()
    assert book.costs("billed_computed_cost_usd") == (
        [of_day] * 3 + [of_day + rise] * 2 + [of_day + rise / 2]
    )
    assert book.costs("restated_computed_cost_usd") == [of_day] * 6
    assert book.restatements() == [
        (3, "from the 3rd after all", 4, rise, rise / 2),
        (3, "cancelled", 4, -rise, -rise / 2),
        (4, "cancelled", 4, -rise, -rise / 2),
        (5, "cancelled", 4, -rise, -rise / 2),
        (6, "cancelled", 2, -rise / 2, -rise / 4),
    ]
    assert book.costs("billed_computed_cost_usd", "gpt-4.1-mini") == [Decimal("0.00112")] * 6


def test_todays_price_follows_the_day_and_no_clock(book: Book) -> None:
    """A cost at today's prices that stays at yesterday's, or every model computed anew each night."""
    of_day, rise = BILLED * 4, Decimal("0.002") * 4
    book.learn("2026-03-07 09:00+00", "from 2090", ("", 2), ("2090-01-01", 4))
    book.refresh()
    assert book.costs("cost_at_todays_prices_usd") == [of_day] * 6
    book.connection.execute("select ops.advance_as_of('2089-12-31')")
    assert book.refresh()["marts.cost_restated_daily"] == "nothing"
    book.connection.execute("select ops.advance_as_of('2090-01-01')")
    done = book.refresh()
    assert done["marts.cost_restated_daily"] == "6 key"
    assert done["marts.cost_daily"] == "nothing"
    assert book.costs("cost_at_todays_prices_usd") == [of_day + rise] * 6
    assert book.costs("restated_computed_cost_usd") == [of_day] * 6
    book.connection.execute("select ops.advance_as_of('2026-01-01')")
    book.refresh()
    assert book.costs("cost_at_todays_prices_usd") == [of_day + rise] * 6, "the day went back"


def test_own_prices_win_for_as_long_as_they_hold(book: Book) -> None:
    """A discount that is taken off twice, for ever, or of calls from before the contract."""
    of_day = BILLED * 4
    book.connection.execute(
        "insert into seeds.own_prices"
        " (provider, model, component, valid_from, valid_to, discount, usd_per_million, known_from, reason)"
        " values ('openai', 'gpt-4.1', 'input', '2026-03-02', '2026-03-05', 0.25, null,"
        " '2026-03-03 12:00+00', 'contract'),"
        " (null, 'gpt-4.1-mini', 'request', null, null, null, 1000000, null, null)"
    )
    book.refresh()
    off = Decimal("0.0005")
    assert book.costs("billed_computed_cost_usd") == [
        of_day, of_day, of_day - 2 * off, of_day - 4 * off, of_day, of_day,
    ]  # fmt: skip
    assert book.costs("restated_computed_cost_usd") == [
        of_day, *[of_day - 4 * off] * 3, of_day, of_day,
    ]  # fmt: skip
    assert [row[:2] for row in book.restatements()] == [(2, "contract"), (3, "contract")]
    # A dollar for each of its two calls a day, beside their tokens.
    assert book.costs("billed_computed_cost_usd", "gpt-4.1-mini") == [2 + Decimal("0.00112")] * 6


def test_frozen_days_are_restated_without_their_raw_rows(book: Book) -> None:
    """A correction that ends where retention begins; or a guess where the tokens were not kept apart."""
    connection = book.connection
    for (table,) in connection.execute(
        "select target from ops.refreshes where grain = 'period' order by target"
    ).fetchall():
        for day in ("2026-03-01", "2026-03-02"):
            held = connection.execute(
                "select from ops.refreshed_periods where target = %s and period = %s", (table, day)
            )
            if held.rowcount:
                connection.execute("select ops.seal_period(%s, %s)", (table, day))
                connection.execute("select ops.freeze_period(%s, %s)", (table, day))
    connection.execute("delete from observability.spans where started_at < '2026-03-03 00:00+00'")
    billed = book.costs("billed_computed_cost_usd")

    book.learn("2026-03-09 09:00+00", "corrected", ("", 3), ("2026-03-02", 2))
    book.refresh()
    of_day, rise = BILLED * 4, Decimal("0.001") * 4
    assert book.costs("billed_computed_cost_usd") == billed == [of_day] * 6
    assert book.costs("restated_computed_cost_usd") == [of_day + rise] + [of_day] * 5
    assert book.restatements() == [(1, "corrected", 4, rise, rise / 2)]
    assert book.costs("calls_restated") == [4] * 6

    # Dearer above 500 tokens, or above none: the frozen days do not tell how many tokens each call had.
    book.learn("2026-03-10 09:00+00", "long ones dearer", ("", 9), above=500)
    book.refresh()
    dearer = Decimal("0.007") * 4
    assert book.costs("billed_computed_cost_usd") == billed
    assert (
        book.costs("restated_computed_cost_usd") == [of_day + rise, of_day] + [of_day + dearer] * 4
    )
    assert book.costs("calls_restated") == [0, 0, 4, 4, 4, 4]
