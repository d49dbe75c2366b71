-- One row per usage_date, source_system, tenant, workflow, domain, agent and user.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "users_daily_key"], "unique": true}],
) }}

with runs as (
    select * from {{ ref("agent_runs") }}
    where {{ in_dirty_days("run_date") }}
),

daily as (
    select
        run_date as usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        count(*) as runs,
        count(is_success) as judged_runs,
        count(*) filter (where is_success) as successes
    from runs
    group by run_date, source_system, tenant_key, workflow, domain, agent_key, user_key
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "workflow",
        "domain",
        "agent_key",
        "user_key",
    ]) }} as users_daily_key,
    usage_date,
    source_system,
    tenant_key,
    workflow,
    domain,
    agent_key,
    user_key,
    runs,
    judged_runs,
    successes
from daily
