-- One row per UTC day, agent_key, decision_type, risk_level and tenth of confidence.
{{ config(
    materialized="incremental",
    period="decided_date",
    publishes="calibration_key as key",
    indexes=[
        {"columns": ["decided_date", "confidence_daily_key"], "unique": true},
        {"columns": ["calibration_key"]},
    ],
) }}

{{ dirtied_by(
    [ref("agent_runs")],
    days_of_run_decisions(ref("int_decisions__recorded"), ref("int_critical_failures__recorded"))
) }}

with outcomes as (
    select
        *,
        confidence_score - outcome as confidence_error,
        least(floor(confidence_score * 10)::int + 1, 10) as confidence_bin
    from {{ ref("int_outcomes__unioned") }}
    where
        outcome is not null
        and confidence_score is not null
        and {{ in_dirty_days("decided_date") }}
),

counted as (
    select
        decided_date,
        agent_key,
        decision_type,
        risk_level,
        confidence_bin,
        count(*) as decisions,
        sum(outcome) as successes,
        trim_scale(sum(confidence_score)) as confidence_total,
        trim_scale(sum(confidence_error * confidence_error)) as squared_error_total
    from outcomes
    group by decided_date, agent_key, decision_type, risk_level, confidence_bin
)

select
    {{ surrogate_key([
        "decided_date - date '2000-01-01'",
        "agent_key",
        "decision_type",
        "risk_level",
        "confidence_bin",
    ]) }} as confidence_daily_key,
    {{ surrogate_key(["agent_key", "decision_type", "risk_level"]) }} as calibration_key,
    *
from counted
