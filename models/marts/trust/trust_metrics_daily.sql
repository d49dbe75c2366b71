-- One row per UTC day, tenant, agent_id and metric_type that was measured.
{{ config(
    materialized="incremental",
    period="measured_date",
    indexes=[{"columns": ["trust_metrics_daily_key"], "unique": true}, {"columns": ["measured_date"]}],
) }}

{{ dirtied_by(["agentic.agent_sessions"], days_of_trust_metrics()) }}

with metrics as (
    select
        *,
        (measured_at at time zone 'UTC')::date as measured_date
    from {{ ref("stg_agentic__trust_metrics") }}
    where {{ in_dirty("measured_at") }}
),

sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
),

measured as (
    select
        metrics.measured_date,
        metrics.tenant_key,
        sessions.agent_id::text as agent_id,
        metrics.metric_type,
        count(*) as measurements,
        sum(metrics.metric_value_recorded) as recorded_total,
        min(metrics.metric_value) as lowest_value,
        max(metrics.metric_value) as highest_value
    from metrics
    left join sessions on metrics.session_id = sessions.session_id
    group by metrics.measured_date, metrics.tenant_key, sessions.agent_id, metrics.metric_type
)

select
    {{ surrogate_key([
        "measured_date - date '2000-01-01'", "tenant_key", "agent_id", "metric_type"
    ]) }} as trust_metrics_daily_key,
    measured_date,
    tenant_key,
    agent_id,
    metric_type,
    measurements,
    round(
        recorded_total / measurements / case metric_type when 'complexity' then 10 else 100 end, 12
    ) as mean_value,
    lowest_value,
    highest_value,
    recorded_total
from measured
