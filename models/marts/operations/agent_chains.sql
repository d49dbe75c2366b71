-- One row per source_system, tenant and chain: agents that hand work on in a run, and how such runs went.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["agent_chains_key"], "unique": true}],
) }}

with daily as (
    select * from {{ ref("int_chains__daily") }}
),

chains as (
    select
        source_system,
        tenant_key,
        chain,
        handoffs_per_run,
        sum(runs)::bigint as runs,
        sum(failed_runs)::bigint as failed_runs,
        sum(judged_runs)::bigint as judged_runs,
        sum(successes)::bigint as successes,
        sum(timed_duration_ms) as timed_duration_ms,
        sum(timed_overhead_ms) as timed_overhead_ms,
        sketches.merge(duration_sketch) as duration_sketch,
        sketches.merge(overhead_sketch) as overhead_sketch,
        min(run_date) as first_used_date,
        max(run_date) as last_used_date
    from daily
    group by source_system, tenant_key, chain, handoffs_per_run
)

select
    {{ surrogate_key(["source_system", "tenant_key", "chain", "handoffs_per_run"]) }} as agent_chains_key,
    source_system,
    tenant_key,
    chain,
    handoffs_per_run,
    runs,
    failed_runs,
    judged_runs,
    successes,
    {{ ratio("successes::numeric", "judged_runs") }} as success_rate,
    {{ wilson_bound("successes", "judged_runs", "low") }} as interval_low,
    {{ wilson_bound("successes", "judged_runs", "high") }} as interval_high,
    sketches.percentile(duration_sketch, 0.5) as p50_ms,
    sketches.percentile(duration_sketch, 0.95) as p95_ms,
    sketches.observations(overhead_sketch) as timed_runs,
    sketches.percentile(overhead_sketch, 0.5) as p50_overhead_ms,
    sketches.percentile(overhead_sketch, 0.95) as p95_overhead_ms,
    {{ ratio("timed_overhead_ms", "timed_duration_ms") }} as overhead_share,
    first_used_date,
    last_used_date
from chains
