-- One row per tenant, kind of confidence and bin of it: how often what was that sure was right.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["routing_reliability_key"], "unique": true}],
) }}

with binned as (
    select * from {{ ref("int_routing_decisions__binned_daily") }}
),

counted as (
    select
        tenant_key,
        confidence_kind,
        bin,
        sum(decisions)::bigint as decisions,
        sum(successes)::bigint as successes,
        sum(confidence) as confidence,
        trim_scale(sum(squared_error)) as squared_error
    from binned
    group by tenant_key, confidence_kind, bin
)

select
    {{ surrogate_key(["tenant_key", "confidence_kind", "bin"]) }} as routing_reliability_key,
    tenant_key,
    confidence_kind,
    bin,
    bin * 0.1 as confidence_from,
    (bin + 1) * 0.1 as confidence_to,
    decisions,
    {{ ratio("confidence", "decisions") }} as mean_confidence,
    successes,
    {{ ratio("successes::numeric", "decisions") }} as success_rate,
    {{ wilson_bound("successes", "decisions", "low") }} as interval_low,
    {{ wilson_bound("successes", "decisions", "high") }} as interval_high,
    squared_error
from counted
