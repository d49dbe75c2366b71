-- One row per scope_kind, scope_key and usage_date: cost of all, a workflow, an agent, a model or a user.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[
        {"columns": ["usage_date", "cost_by_scope_daily_key"], "unique": true},
        {"columns": ["scope_kind", "scope_key", "usage_date"], "unique": true},
    ],
) }}

with scoped_costs as (
    select * from {{ ref("cost_by_tenant_daily") }}
    where {{ in_dirty_days("usage_date") }}
),

daily as (
    select
        scope_kind,
        scope_key,
        usage_date,
        sum(llm_calls)::bigint as llm_calls,
        sum(cost_usd) as cost_usd,
        sum(calls_unpriced)::bigint as calls_unpriced
    from scoped_costs
    where scope_key is not null
    group by scope_kind, scope_key, usage_date
)

select
    {{ surrogate_key(["scope_kind", "scope_key", "usage_date - date '2000-01-01'"]) }}
        as cost_by_scope_daily_key,
    scope_kind,
    scope_key,
    usage_date,
    llm_calls,
    cost_usd,
    calls_unpriced
from daily
