-- One row per tenant and kind of confidence: how far the router is right as often as it is sure.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["routing_calibration_key"], "unique": true}],
) }}

with bins as (
    select * from {{ ref("routing_reliability") }}
),

counted as (
    select
        tenant_key,
        confidence_kind,
        sum(decisions)::bigint as decisions,
        sum(successes)::bigint as successes,
        sum(mean_confidence * decisions) as confidence,
        sum(squared_error) as squared_error,
        sum(abs(mean_confidence - success_rate) * decisions) as gap
    from bins
    group by tenant_key, confidence_kind
)

select
    {{ surrogate_key(["tenant_key", "confidence_kind"]) }} as routing_calibration_key,
    tenant_key,
    confidence_kind,
    decisions,
    successes,
    {{ ratio("confidence", "decisions") }} as mean_confidence,
    {{ ratio("successes::numeric", "decisions") }} as success_rate,
    {{ wilson_bound("successes", "decisions", "low") }} as interval_low,
    {{ wilson_bound("successes", "decisions", "high") }} as interval_high,
    {{ ratio("confidence - successes", "decisions") }} as overconfidence,
    {{ ratio("squared_error", "decisions") }} as brier_score,
    {{ ratio("gap", "decisions") }} as calibration_error
from counted
