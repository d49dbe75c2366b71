-- One row per run_month, source_system, tenant, workflow, domain and agent.
{{ config(
    materialized="incremental",
    period="run_month",
    indexes=[{"columns": ["run_month", "unit_costs_key"], "unique": true}],
) }}

{{ dirtied_by([ref("int_runs__costed_daily")], months_of_days()) }}

with workflow_values as (
    select * from {{ ref("workflow_values") }}
),

{{ days_of_dirty_months(ref("int_runs__costed_daily"), "run_date", "run_month") }},

monthly as (
    select
        run_month,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        agent_name,
        sum(runs)::bigint as runs,
        sum(failed_runs)::bigint as failed_runs,
        sum(priced_runs)::bigint as priced_runs,
        sum(priced_successes)::bigint as priced_successes,
        sum(priced_approvals)::bigint as priced_approvals,
        sum(priced_conversations)::bigint as priced_conversations,
        sum(cost_usd) as cost_usd
    from days
    group by
        run_month,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        agent_name
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
