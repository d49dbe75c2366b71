-- One row per usage_date, scope_kind and scope_key with calls or costs.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[
        {"columns": ["scope_costs_daily_key"], "unique": true},
        {"columns": ["usage_date"]},
        {"columns": ["scope_kind", "usage_date"]},
    ],
) }}

with costs as (
    select * from {{ ref("cost_daily") }}
    where {{ in_dirty_days("usage_date") }}
),

scoped as (
    select
        costs.usage_date,
        scopes.scope_kind,
        scopes.scope_key,
        sum(costs.cost_usd) as cost_usd,
        sum(costs.llm_calls)::bigint as llm_calls,
        sum(costs.calls_unpriced)::bigint as calls_unpriced
    from costs
    cross join lateral (values {{ cost_scopes("costs") }}) as scopes (scope_kind, scope_key)
    where scopes.scope_key is not null
    group by costs.usage_date, scopes.scope_kind, scopes.scope_key
)

select
    {{ surrogate_key(["usage_date - date '2000-01-01'", "scope_kind", "scope_key"]) }}
        as scope_costs_daily_key,
    usage_date,
    scope_kind,
    scope_key,
    cost_usd,
    llm_calls,
    calls_unpriced
from scoped
