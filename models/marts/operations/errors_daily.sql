-- One row per usage_date, source_system, tenant, agent, step and error_type.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "errors_daily_key"], "unique": true}],
) }}

with errors as (
    select * from {{ ref("int_errors__unioned") }}
    where {{ in_dirty_days("occurred_date") }}
),

daily as (
    select
        occurred_date as usage_date,
        source_system,
        tenant_key,
        agent_key,
        agent_name,
        step,
        error_type,
        count(*) as errors,
        count(distinct run_id) as runs,
        count(distinct run_id) filter (where is_run_success is not null) as judged_runs,
        count(distinct run_id) filter (where is_run_success) as recovered_runs
    from errors
    group by occurred_date, source_system, tenant_key, agent_key, agent_name, step, error_type
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "agent_key",
        "step",
        "error_type",
    ]) }} as errors_daily_key,
    usage_date,
    source_system,
    tenant_key,
    agent_key,
    agent_name,
    step,
    error_type,
    errors,
    runs,
    judged_runs,
    recovered_runs
from daily
