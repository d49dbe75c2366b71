-- A scope that loses or doubles a cost is forecast wrongly, and no forecast would show it.
with scopes as (
    select
        scope_kind,
        usage_date,
        sum(llm_calls) as llm_calls,
        sum(cost_usd) as cost_usd
    from {{ ref("cost_by_scope_daily") }}
    group by scope_kind, usage_date
),

kinds as (
    select
        usage_date,
        scope_kind,
        sum(llm_calls) as llm_calls,
        sum(cost_usd) as cost_usd
    from {{ ref("cost_daily") }}
    cross join (
        values ('total'), ('workflow'), ('agent'), ('model'), ('user')
    ) as names (scope_kind)
    where
        case scope_kind
            when 'total' then 'total'
            when 'workflow' then workflow
            when 'agent' then agent_key
            when 'model' then coalesce(model, model_recorded)
            when 'user' then user_key
        end is not null
    group by usage_date, scope_kind
)

select
    coalesce(scopes.scope_kind, kinds.scope_kind) as scope_kind,
    coalesce(scopes.usage_date, kinds.usage_date) as usage_date,
    scopes.cost_usd as found_usd,
    kinds.cost_usd as expected_usd
from scopes
full join kinds
    on scopes.scope_kind = kinds.scope_kind and scopes.usage_date = kinds.usage_date
where (scopes.cost_usd, scopes.llm_calls) is distinct from (kinds.cost_usd, kinds.llm_calls)
