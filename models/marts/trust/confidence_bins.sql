-- One row per agent_key, decision_type, risk_level and tenth of confidence: a point of a reliability diagram.
{{ config(
    materialized="incremental",
    key="confidence_calibration_key",
    publishes="confidence_calibration_key as key",
    indexes=[
        {"columns": ["confidence_bins_key"], "unique": true},
        {"columns": ["confidence_calibration_key"]},
    ],
) }}

with daily as (
    select * from {{ ref("int_confidence__binned_daily") }}
    where {{ in_dirty("calibration_key") }}
),

counted as (
    select
        calibration_key,
        agent_key,
        decision_type,
        risk_level,
        confidence_bin,
        sum(decisions)::bigint as decisions,
        sum(successes)::bigint as successes,
        sum(confidence_total) as confidence_total,
        sum(squared_error_total) as squared_error_total
    from daily
    group by calibration_key, agent_key, decision_type, risk_level, confidence_bin
)

select
    {{ surrogate_key(["calibration_key", "confidence_bin"]) }} as confidence_bins_key,
    calibration_key as confidence_calibration_key,
    agent_key,
    decision_type,
    risk_level,
    (confidence_bin - 1) / 10.0 as confidence_from,
    confidence_bin / 10.0 as confidence_to,
    decisions,
    successes,
    {{ ratio("confidence_total", "decisions") }} as mean_confidence,
    {{ ratio("successes::numeric", "decisions") }} as success_rate,
    {{ wilson_bound("successes", "decisions", "low") }} as interval_low,
    {{ wilson_bound("successes", "decisions", "high") }} as interval_high,
    {{ ratio("squared_error_total", "decisions") }} as brier_score
from counted
