-- One row per usage_date, tenant, routing_strategy, agent and is_cache_hit: decisions, and what came of them.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "routing_accuracy_key"], "unique": true}],
) }}

{{ dirtied_by(
    ["traceability.agent_routing_decisions", "traceability.execution_traces"],
    days_of_routing_decisions(),
) }}

with decisions as (
    select * from {{ ref("int_routing_decisions__judged") }}
    where {{ in_dirty("routed_at") }}
),

daily as (
    select
        (routed_at at time zone 'UTC')::date as usage_date,
        tenant_key,
        routing_strategy,
        agent_name,
        is_cache_hit,
        count(*) as decisions,
        count(*) filter (where is_overruled) as overruled,
        count(is_success) as judged_decisions,
        count(*) filter (where is_success) as successes,
        avg(confidence_score) as mean_confidence,
        sketches.sketch(decision_duration_ms) as decision_sketch
    from decisions
    group by
        (routed_at at time zone 'UTC')::date, tenant_key, routing_strategy, agent_name, is_cache_hit
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'", "tenant_key", "routing_strategy", "agent_name", "is_cache_hit"
    ]) }} as routing_accuracy_key,
    usage_date,
    tenant_key,
    routing_strategy,
    agent_name,
    is_cache_hit,
    decisions,
    overruled,
    judged_decisions,
    successes,
    {{ ratio("successes::numeric", "judged_decisions") }} as success_rate,
    {{ wilson_bound("successes", "judged_decisions", "low") }} as interval_low,
    {{ wilson_bound("successes", "judged_decisions", "high") }} as interval_high,
    round(mean_confidence, 12) as mean_confidence,
    sketches.percentile(decision_sketch, 0.5) as p50_decision_ms,
    sketches.percentile(decision_sketch, 0.95) as p95_decision_ms,
    decision_sketch
from daily
