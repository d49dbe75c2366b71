-- A sketch that lost or doubled values, or a day's sketch that is not the sum of its parts, would move
-- percentiles by more than they may be off.
with parts as (
    select
        usage_date,
        source_system,
        tenant_key,
        payer,
        measure,
        sum(observations) as observations,
        sum(total) as total
    from {{ ref("distributions_daily") }}
    group by usage_date, source_system, tenant_key, payer, measure
),

days as (
    select
        usage_date,
        source_system,
        tenant_key,
        payer,
        measure,
        observations,
        total
    from {{ ref("latency_daily") }}
),

differing_days as (
    (
        select * from parts
        except all
        select * from days
    )
    union all
    (
        select * from days
        except all
        select * from parts
    )
)

select
    distributions_daily_key as row_key,
    observations,
    sketches.observations(sketch) as found
from {{ ref("distributions_daily") }}
where observations <> sketches.observations(sketch)
union all
select
    latency_daily_key as row_key,
    observations,
    sketches.observations(sketch) as found
from {{ ref("latency_daily") }}
where observations <> sketches.observations(sketch)
union all
select
    measure as row_key,
    observations,
    null as found
from differing_days
