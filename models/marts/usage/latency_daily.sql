-- One row per usage_date, source_system, tenant, payer and measure.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "latency_daily_key"], "unique": true}],
) }}

with distributions as (
    select * from {{ ref("distributions_daily") }}
    where {{ in_dirty_days("usage_date") }}
),

daily as (
    select
        usage_date,
        source_system,
        tenant_key,
        payer,
        measure,
        sum(observations)::bigint as observations,
        sum(total) as total,
        sketches.merge(sketch) as sketch
    from distributions
    group by usage_date, source_system, tenant_key, payer, measure
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'", "source_system", "tenant_key", "payer", "measure"
    ]) }} as latency_daily_key,
    usage_date,
    source_system,
    tenant_key,
    payer,
    measure,
    observations,
    total,
    sketches.percentile(sketch, 0.5) as p50,
    sketches.percentile(sketch, 0.9) as p90,
    sketches.percentile(sketch, 0.95) as p95,
    sketches.percentile(sketch, 0.99) as p99,
    sketch
from daily
