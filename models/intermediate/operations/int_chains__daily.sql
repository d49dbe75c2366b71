-- One row per UTC day of the run's start, source_system, tenant and chain of agents.
{{ config(
    materialized="incremental",
    period="run_date",
    indexes=[{"columns": ["run_date", "chains_daily_key"], "unique": true}],
) }}

{{ dirtied_by([ref("int_handoffs__unioned")], days_of_runs(ref("agent_runs"))) }}

with runs as (
    select * from {{ ref("agent_runs") }}
    where {{ in_dirty_days("run_date") }}
),

handoffs as (
    select * from {{ ref("int_handoffs__unioned") }}
),

chained_runs as (
    select
        runs.run_date,
        runs.source_system,
        runs.tenant_key,
        runs.run_id,
        runs.status,
        runs.is_success,
        runs.duration_ms,
        (
            array_agg(
                coalesce(handoffs.from_agent_name, 'unknown')
                order by handoffs.handed_off_at, handoffs.handoff_id
            )
        )[1]
        || ' → '
        || string_agg(
            coalesce(handoffs.to_agent_name, 'unknown'),
            ' → ' order by handoffs.handed_off_at, handoffs.handoff_id
        ) as chain,
        count(*) as handoffs,
        -- Unknown of one handoff, unknown of all.
        case when count(handoffs.overhead_ms) = count(*) then sum(handoffs.overhead_ms) end
            as overhead_ms
    from runs
    inner join handoffs
        on runs.run_id = handoffs.run_id and runs.source_system = handoffs.source_system
    group by
        runs.run_date,
        runs.source_system,
        runs.tenant_key,
        runs.run_id,
        runs.status,
        runs.is_success,
        runs.duration_ms
),

counted as (
    select
        run_date,
        source_system,
        tenant_key,
        chain,
        handoffs as handoffs_per_run,
        count(*) as runs,
        count(*) filter (where status = 'failed') as failed_runs,
        count(is_success) as judged_runs,
        count(*) filter (where is_success) as successes,
        sum(duration_ms) filter (where overhead_ms is not null and duration_ms is not null)
            as timed_duration_ms,
        sum(overhead_ms) filter (where duration_ms is not null) as timed_overhead_ms,
        sketches.sketch(duration_ms) as duration_sketch,
        sketches.sketch(overhead_ms) as overhead_sketch
    from chained_runs
    group by run_date, source_system, tenant_key, chain, handoffs
)

select
    {{ surrogate_key([
        "run_date - date '2000-01-01'", "source_system", "tenant_key", "chain", "handoffs_per_run"
    ]) }} as chains_daily_key,
    *
from counted
