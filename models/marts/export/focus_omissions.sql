-- One row per usage_date, source_system, tenant and model with a cost that focus_costs does not hold.
{{ config(materialized="view") }}

with cost_daily as (
    select * from {{ ref("cost_daily") }}
),

omitted as (
    select
        usage_date,
        source_system,
        tenant_key,
        provider,
        model,
        model_recorded,
        count(*) filter (where cost_usd is null) as charges_omitted,
        sum(calls_unpriced)::bigint as calls_unpriced
    from cost_daily
    where cost_usd is null or calls_unpriced > 0
    group by usage_date, source_system, tenant_key, provider, model, model_recorded
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "provider",
        "model",
        "model_recorded",
    ]) }} as focus_omissions_key,
    usage_date,
    source_system,
    tenant_key,
    provider,
    model,
    model_recorded,
    charges_omitted,
    calls_unpriced
from omitted
