-- One row per usage_date, tenant, scope_kind, scope_key and, of workflows and agents, source_system.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "cost_by_tenant_daily_key"], "unique": true}],
) }}

with costs as (
    select * from {{ ref("cost_daily") }}
    where {{ in_dirty_days("usage_date") }}
),

-- Added up by whatever is a scope before it is looked at from each side.
combined as (
    select
        usage_date,
        tenant_key,
        source_system,
        workflow,
        agent_key,
        model,
        model_recorded,
        user_key,
        sum(llm_calls) as llm_calls,
        sum(cost_usd) as cost_usd,
        sum(calls_unpriced) as calls_unpriced
    from costs
    group by
        usage_date,
        tenant_key,
        source_system,
        workflow,
        agent_key,
        model,
        model_recorded,
        user_key
),

scoped as (
    select
        combined.usage_date,
        combined.tenant_key,
        scopes.scope_kind,
        scopes.scope_key,
        combined.llm_calls,
        combined.cost_usd,
        combined.calls_unpriced,
        case when scopes.scope_kind in ('workflow', 'agent') then combined.source_system end
            as source_system
    from combined
    cross join lateral (values {{ cost_scopes("combined") }}) as scopes (scope_kind, scope_key)
),

daily as (
    select
        usage_date,
        tenant_key,
        scope_kind,
        scope_key,
        source_system,
        sum(llm_calls)::bigint as llm_calls,
        sum(cost_usd) as cost_usd,
        sum(calls_unpriced)::bigint as calls_unpriced
    from scoped
    group by usage_date, tenant_key, scope_kind, scope_key, source_system
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'", "tenant_key", "scope_kind", "scope_key", "source_system"
    ]) }} as cost_by_tenant_daily_key,
    usage_date,
    tenant_key,
    scope_kind,
    scope_key,
    source_system,
    llm_calls,
    cost_usd,
    calls_unpriced
from daily
