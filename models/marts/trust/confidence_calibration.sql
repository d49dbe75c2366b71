-- One row per agent_key, decision_type and risk_level: how far what the agent is sure of comes true.
{{ config(
    materialized="incremental",
    key="confidence_calibration_key",
    indexes=[{"columns": ["confidence_calibration_key"], "unique": true}],
) }}

with daily as (
    select * from {{ ref("int_confidence__binned_daily") }}
    where {{ in_dirty("calibration_key") }}
),

bins as (
    select
        calibration_key,
        agent_key,
        decision_type,
        risk_level,
        confidence_bin,
        sum(decisions)::bigint as decisions,
        sum(successes)::bigint as successes,
        sum(confidence_total) as confidence_total,
        sum(squared_error_total) as squared_error_total,
        abs(sum(confidence_total) - sum(successes)) as calibration_error_total
    from daily
    group by calibration_key, agent_key, decision_type, risk_level, confidence_bin
),

added as (
    select
        calibration_key,
        agent_key,
        decision_type,
        risk_level,
        sum(decisions)::bigint as decisions,
        sum(successes)::bigint as successes,
        sum(confidence_total) as confidence_total,
        sum(confidence_total) - sum(successes) as error_total,
        sum(squared_error_total) as squared_error_total,
        sum(calibration_error_total) as calibration_error_total
    from bins
    group by calibration_key, agent_key, decision_type, risk_level
),

measured as (
    select
        *,
        {{ ratio("error_total", "decisions") }} as over_confidence,
        1.959964 * sqrt(
            {{ ratio(
                "greatest(squared_error_total - error_total * error_total / decisions, 0)",
                "(decisions - 1) * decisions::numeric"
            ) }}
        ) as reach
    from added
)

select
    calibration_key as confidence_calibration_key,
    agent_key,
    decision_type,
    risk_level,
    decisions,
    successes,
    {{ ratio("confidence_total", "decisions") }} as mean_confidence,
    {{ ratio("successes::numeric", "decisions") }} as success_rate,
    {{ ratio("squared_error_total", "decisions") }} as brier_score,
    {{ ratio("calibration_error_total", "decisions") }} as expected_calibration_error,
    over_confidence,
    round(over_confidence - reach, 12) as over_confidence_low,
    round(over_confidence + reach, 12) as over_confidence_high,
    case
        when decisions < 30 then 'unclear'
        when over_confidence - reach > 0 then 'over-confident'
        when over_confidence + reach < 0 then 'under-confident'
        else 'calibrated'
    end as verdict
from measured
