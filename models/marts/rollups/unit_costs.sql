-- One row per run_month, source_system, tenant, workflow, domain and agent.
{{ config(
    materialized="incremental",
    period="run_month",
    indexes=[{"columns": ["unit_costs_key"], "unique": true}, {"columns": ["run_month"]}],
) }}

{{ dirtied_by([ref("int_runs__costed_daily")], months_of_days()) }}

with daily as not materialized (
    select * from {{ ref("int_runs__costed_daily") }}
),

workflow_values as (
    select * from {{ ref("workflow_values") }}
),

months as (
    select
        month_start::date as run_month,
        (month_start + interval '1 month')::date as next_month
    from (
        select
            min(run_date) as first_date,
            max(run_date) as last_date
        from daily
    ) as history
    cross join
        generate_series(date_trunc('month', first_date::timestamp), last_date, '1 month') as month_start
    where {{ in_dirty_days("month_start::date") }}
),

-- So that the days of a month are found by index: by the month of each day all would be read.
days as (
    select
        *,
        date_trunc('month', run_date::timestamp)::date as run_month
    from daily
    where
        run_date >= (select min(run_month) from months)
        and run_date < (select max(next_month) from months)
),

monthly as (
    select
        days.run_month,
        days.source_system,
        days.tenant_key,
        days.workflow,
        days.domain,
        days.agent_key,
        days.agent_name,
        sum(days.runs)::bigint as runs,
        sum(days.failed_runs)::bigint as failed_runs,
        sum(days.priced_runs)::bigint as priced_runs,
        sum(days.priced_successes)::bigint as priced_successes,
        sum(days.priced_approvals)::bigint as priced_approvals,
        sum(days.priced_conversations)::bigint as priced_conversations,
        sum(days.cost_usd) as cost_usd
    from days
    inner join months on days.run_month = months.run_month
    group by
        days.run_month,
        days.source_system,
        days.tenant_key,
        days.workflow,
        days.domain,
        days.agent_key,
        days.agent_name
),

valued as (
    select
        monthly.*,
        workflow_values.value_usd * case workflow_values.unit
            when 'run' then monthly.priced_runs
            when 'successful_run' then monthly.priced_successes
            when 'approved_decision' then monthly.priced_approvals
            when 'conversation' then monthly.priced_conversations
        end as value_usd
    from monthly
    left join workflow_values
        on
            monthly.source_system = workflow_values.source_system
            and monthly.workflow = workflow_values.workflow
)

select
    {{ surrogate_key([
        "run_month - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "workflow",
        "domain",
        "agent_key",
    ]) }} as unit_costs_key,
    run_month,
    source_system,
    tenant_key,
    workflow,
    domain,
    agent_key,
    agent_name,
    runs,
    failed_runs,
    priced_runs,
    priced_successes,
    priced_approvals,
    priced_conversations,
    cost_usd,
    {{ ratio("cost_usd", "priced_runs") }} as cost_per_run_usd,
    {{ ratio("cost_usd", "priced_successes") }} as cost_per_successful_run_usd,
    {{ ratio("cost_usd", "priced_approvals") }} as cost_per_approved_decision_usd,
    {{ ratio("cost_usd", "priced_conversations") }} as cost_per_conversation_usd,
    value_usd,
    {{ ratio("(value_usd - cost_usd)", "cost_usd") }} as return_on_cost
from valued
