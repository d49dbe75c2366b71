"""Dagster's code location: it loads, says what depends on what, and runs for real."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest
from raw_rows import ROWS, insert

from orchestration import simulate

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import TestServer

RAW = {"raaf", "observability", "traceability", "chat", "agentic"}


@pytest.fixture(scope="module")
def definitions(build_marts: Any) -> dg.Definitions:
    """The code location, over a manifest that is not stale."""
    from orchestration import dbt

    dbt.parse()
    from orchestration.definitions import defs

    return defs


def test_every_mart_descends_from_the_raw_tables(definitions: dg.Definitions) -> None:
    """Catches raw tables and marts that look unrelated, so that nothing refreshes in order."""
    graph = definitions.resolve_asset_graph()
    marts = {key for key in graph.get_all_asset_keys() if key.path[0] == "marts"}
    assert len(marts) >= 6
    for mart in marts:
        ancestors, waiting = set(), [mart]
        while waiting:
            parents = graph.get(waiting.pop()).parent_keys - ancestors
            ancestors |= parents
            waiting += parents
        assert {key.path[0] for key in ancestors} & RAW, (
            f"{mart.to_user_string()} descends from no raw table"
        )


def test_dbts_tests_are_asset_checks(definitions: dg.Definitions) -> None:
    """Catches data tests that fail where nobody looks."""
    graph = definitions.resolve_asset_graph()
    checked = {key.asset_key for key in graph.asset_check_keys}
    for key in graph.get_all_asset_keys():
        if key.path[0] == "marts":
            assert key in checked, f"{key.to_user_string()} has no check"


def test_the_hourly_schedule_runs_the_job_that_loads_and_builds(
    definitions: dg.Definitions,
) -> None:
    """Catches a schedule that refreshes half of the graph."""
    schedule = definitions.resolve_schedule_def("refresh_hourly")
    assert (schedule.cron_schedule, schedule.job_name) == ("0 * * * *", "refresh")
    job = definitions.resolve_job_def("refresh")
    assert job.asset_layer.executable_asset_keys >= {dg.AssetKey(["marts", "cost_daily"])}
    assert job.asset_layer.executable_asset_keys >= {dg.AssetKey(["observability", "spans"])}


def test_the_whole_graph_materialises(
    definitions: dg.Definitions,
    server18: TestServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches whatever only shows when the graph runs, from files to marts."""
    simulate.write(tmp_path / "runs.ndjson.gz", days=3, runs_per_day=10)
    monkeypatch.setenv("AGENTBOOKS_DATABASE_URL", server18.database())
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("refresh").execute_in_process(
            instance=instance,
            run_config={
                "ops": {"load_agent_runs": {"config": {"inbox": str(tmp_path)}}},
            },
        )
    assert result.success
    spans = result.asset_materializations_for_node("load_agent_runs")
    metadata = {event.asset_key.path[-1]: event.metadata for event in spans}
    assert metadata["spans"]["rows_added"].value > 0
    assert metadata["traces"]["runs_loaded"].value == 30
    built = {
        event.asset_key.path[-1]: event.metadata
        for event in result.asset_materializations_for_node("marts")
    }
    assert built["agent_runs"]["dagster/row_count"].value == 30
    assert built["cost_daily"]["cost_usd"].value > 0
    assert all(check.passed for check in result.get_asset_check_evaluations())
    [partitions] = result.asset_materializations_for_node("month_partitions")
    assert partitions.metadata["partitions_made"].value == 0


def test_rows_without_a_month_are_reported_and_moved(
    definitions: dg.Definitions, server18: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches rows of a wrong clock that wait in a default partition for ever, unseen."""
    url = server18.database()
    monkeypatch.setenv("AGENTBOOKS_DATABASE_URL", url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """
            with trace as (
                insert into observability.traces (workflow_id, execution_id, status)
                values ('w', 'e', 'running')
                returning trace_id
            )
            insert into observability.spans (trace_id, span_id, span_type, name, status, started_at)
            select trace_id, gen_random_uuid(), 'llm', 'call', 'running', '2004-02-29' from trace
            """
        )
    check = definitions.get_asset_checks_def(
        dg.AssetCheckKey(dg.AssetKey("month_partitions"), "no_row_without_a_month")
    )
    found = check()
    assert not found.passed
    assert found.description.startswith("observability.spans: 1 rows, the first of 2004-02-")
    result = dg.materialize([definitions.get_assets_def("month_partitions")])
    [event] = result.asset_materializations_for_node("month_partitions")
    assert event.metadata["rows_moved"].value == 1
    assert check().passed


BAD_SEEDS = {
    b"\xef\xbb\xbftable_name,active_for\na.b ,P1Y\nc.d,\n": None,
    b"": "has no column active_for",
    b"table_name;active_for\na.b;P1Y\n": "has no column active_for",
    b"relation,active_for\na.b,P1Y\n": "has no column table_name",
    b"table_name,active_for\na.b,P1Y\n,P1Y\n": 'has in line 3 a term for ""',
    b"table_name,active_for\na b.c,P1Y\n": 'has in line 2 a term for "a b.c"',
    b"table_name,active_for,reason\na.b,P1Y,f\xfcr immer\n": "is no CSV in UTF-8",
    None: "cannot be read",
}


def failure(job: dg.AssetsDefinition, **config: Any) -> str:
    """Run an asset that fails; give what Dagster shows, without a traceback."""
    run_config = {"ops": {"enforce_retention": {"config": config}}}
    result = dg.materialize([job], run_config=run_config, raise_on_error=False)
    [event] = result.filter_events(lambda event: event.is_step_failure)
    assert event.step_failure_data.user_failure_data, "it ends with a traceback"
    return str(event.step_failure_data.user_failure_data.description)


@pytest.mark.parametrize("content", BAD_SEEDS)
def test_a_bad_seed_fails_its_job_alone(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches one line of a file edited by hand that takes every job of Dagster down."""
    from orchestration.defs.lifecycle import assets

    (tmp_path / "seeds").mkdir()
    if content is not None:
        (tmp_path / "seeds" / "retention_policies.csv").write_bytes(content)
    monkeypatch.setattr("orchestration.dbt.PROJECT", tmp_path)
    loaded = ModuleType("assets_of_a_bad_seed")
    SourceFileLoader(loaded.__name__, str(assets.__file__)).exec_module(loaded)
    sign = BAD_SEEDS[content]
    if sign is None:
        assert loaded.TABLES == ["a.b"]
    else:
        told = failure(loaded.enforce_retention)
        assert told.startswith(f"retention: seeds/retention_policies.csv {sign}")


@pytest.mark.parametrize("day", ["2026-13-01", "2026-03-01T00:00+05:00", "tomorrow"])
def test_a_day_that_is_none_is_told(
    day: str, server18: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches terms that count from another moment than the launchpad says, and a traceback for a slip."""
    from orchestration.defs.lifecycle.assets import enforce_retention

    monkeypatch.setenv("AGENTBOOKS_DATABASE_URL", server18.database())
    assert failure(enforce_retention, as_of=day).startswith(f'retention: as_of "{day}" is no day')


def test_retention_runs_nightly_and_a_failing_table_stops_no_other(
    definitions: dg.Definitions,
    server18: TestServer,
    build_marts: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a dry run that moves rows, and a night that ends with the first table that fails."""
    assert definitions.resolve_schedule_def("retention_daily").job_name == "retention"
    assert definitions.resolve_schedule_def("partitions_daily").job_name == "partitions"
    url = server18.database()
    build_marts(url, ["retention_policies"])
    monkeypatch.setenv("AGENTBOOKS_DATABASE_URL", url)
    monkeypatch.setenv("AGENTBOOKS_ARCHIVE_URL", str(tmp_path))
    archived = "select count(*) from archive.raaf__raaf_tracing_spans"
    with psycopg.connect(url, autocommit=True) as connection:
        for table, row in ROWS.items():
            insert(connection, table, row)
        connection.execute("select from ops.maintain_partitions()")
        enforce = definitions.get_assets_def(["retention", "observability", "spans"])
        dry = {"ops": {"enforce_retention": {"config": {"dry_run": True}}}}
        planned = dg.materialize([enforce], run_config=dry)
        assert planned.success
        assert planned.asset_materializations_for_node("enforce_retention") == []
        assert connection.execute(archived).fetchone() == (0,)

        odd = "alter table archive.observability__spans {} constraint odd"
        connection.execute(f"{odd.format('add')} check (name <> 'x')".encode())
        due = {"ops": {"enforce_retention": {"config": {"as_of": "2020-07-15"}}}}
        result = dg.materialize([enforce], run_config=due, raise_on_error=False)
        assert not result.success, "the failure is told"
        assert connection.execute(archived).fetchone() == (1,)
        events = result.asset_materializations_for_node("enforce_retention")
        moved = {event.asset_key.path[-1]: event.metadata for event in events}
        assert moved["raaf_tracing_spans"]["archive"].value == 1
        assert moved["raaf_tracing_spans"]["bytes"].value > 0
        assert "spans" not in moved
        checks = {
            (check.asset_key.path[-1], check.check_name): check
            for check in result.get_asset_check_evaluations()
        }
        assert not checks["spans", "no_other"].passed
        assert "constraint" in str(checks["spans", "no_other"].description)
        assert not checks["traces", "no_still_active"].passed, "their spans are still there"
        failing = ("no_other", "no_still_active")
        assert all(check.passed for key, check in checks.items() if key[1] not in failing)

        connection.execute(odd.format("drop").encode())
        connection.execute("select ops.archive_month('observability.spans', '2020-03-01')")
        connection.execute(
            "insert into ops.legal_holds (trace_id, reason) select trace_id, 'case 7'"
            " from archive.observability__spans"
        )
        late = {"ops": {"enforce_retention": {"config": {"as_of": "2022-07-01"}}}}
        spans = [dg.AssetKey(["retention", "observability", "spans"])]
        result = dg.materialize([enforce], run_config=late, selection=spans, raise_on_error=False)
        failed = [c for c in result.get_asset_check_evaluations() if not c.passed]
        assert [(c.check_name, c.description) for c in failed] == [
            ("no_legal_hold", "legal hold 1 covers 1 rows")
        ]
