-- One row per UTC day of the run's start, source_system, tenant, workflow, domain and agent.
{{ config(
    materialized="incremental",
    period="run_date",
    indexes=[{"columns": ["run_date", "costed_daily_key"], "unique": true}],
) }}

{{ dirtied_by([ref("int_decisions__recorded")], days_of_runs(ref("agent_runs"))) }}

with runs as (
    select * from {{ ref("agent_runs") }}
    where {{ in_dirty_days("run_date") }}
),

decisions as (
    select * from {{ ref("int_decisions__recorded") }}
),

counted as (
    select
        runs.run_date,
        runs.source_system,
        runs.tenant_key,
        runs.workflow,
        runs.domain,
        runs.agent_key,
        runs.agent_name,
        count(*) as runs,
        count(*) filter (where runs.status in ('failed', 'cancelled')) as failed_runs,
        count(runs.is_success) as judged_runs,
        count(*) filter (where runs.is_success) as successes,
        coalesce(sum(runs.tool_calls), 0)::bigint as tool_calls,
        coalesce(sum(runs.tool_errors), 0)::bigint as tool_errors,
        count(runs.cost_usd) as priced_runs,
        count(runs.cost_usd) filter (where runs.is_success) as priced_successes,
        count(runs.cost_usd) filter (where runs.messages > 0) as priced_conversations,
        coalesce(
            sum(approvals.approved_decisions) filter (where runs.cost_usd is not null), 0
        )::bigint as priced_approvals,
        sum(runs.fees_usd) as fees_usd,
        sum(runs.cost_usd) as cost_usd,
        sum(runs.cost_usd * runs.cost_usd) as squared_cost
    from runs
    -- By index, run by run: of all decisions these are few.
    left join lateral (
        select count(*) as approved_decisions
        from decisions
        where
            decisions.run_id = runs.run_id
            and decisions.source_system = runs.source_system
            and decisions.outcome = 1
    ) as approvals on true
    group by
        runs.run_date,
        runs.source_system,
        runs.tenant_key,
        runs.workflow,
        runs.domain,
        runs.agent_key,
        runs.agent_name
)

select
    {{ surrogate_key([
        "run_date - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "workflow",
        "domain",
        "agent_key",
    ]) }} as costed_daily_key,
    *
from counted
