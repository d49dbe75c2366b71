-- A cost or a token that one of agent_runs and cost_daily knows and the other does not: a report by agent,
-- user, workflow, domain or tenant would depend on which of them it was made from. Fees are in runs alone.
-- While rows wait that came late for a frozen run, and not for the day of its calls, the two differ by them.
with entries as (
    select
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        llm_calls,
        input_tokens,
        cached_input_tokens,
        output_tokens,
        unsplit_tokens,
        agent_cost_usd,
        counterpart_cost_usd,
        cost_usd - coalesce(fees_usd, 0) as cost_usd
    from {{ ref("agent_runs") }}
    union all
    select
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        -llm_calls as llm_calls,
        -input_tokens as input_tokens,
        -cached_input_tokens as cached_input_tokens,
        -output_tokens as output_tokens,
        -unsplit_tokens as unsplit_tokens,
        case payer when 'agent' then -cost_usd end as agent_cost_usd,
        case payer when 'counterpart' then -cost_usd end as counterpart_cost_usd,
        -cost_usd as cost_usd
    from {{ ref("cost_daily") }}
),

balances as (
    select
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        coalesce(sum(llm_calls), 0) as llm_calls,
        coalesce(sum(input_tokens), 0) as input_tokens,
        coalesce(sum(cached_input_tokens), 0) as cached_input_tokens,
        coalesce(sum(output_tokens), 0) as output_tokens,
        coalesce(sum(unsplit_tokens), 0) as unsplit_tokens,
        coalesce(sum(agent_cost_usd), 0) as agent_cost_usd,
        coalesce(sum(counterpart_cost_usd), 0) as counterpart_cost_usd,
        coalesce(sum(cost_usd), 0) as cost_usd
    from entries
    group by source_system, tenant_key, workflow, domain, agent_key, user_key
)

select *
from balances
where
    not exists (select from ops.late_rows)
    and (
        llm_calls <> 0
        or input_tokens <> 0
        or cached_input_tokens <> 0
        or output_tokens <> 0
        or unsplit_tokens <> 0
        or agent_cost_usd <> 0
        or counterpart_cost_usd <> 0
        or cost_usd <> 0
    )
