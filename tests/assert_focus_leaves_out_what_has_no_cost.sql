-- A charge that the FOCUS export loses although its cost is known, or a gap that focus_omissions does not
-- tell of: a bill that is too small and does not say so.
with cost_daily as (
    select * from {{ ref("cost_daily") }}
),

charges as (
    select
        "x_ChargeId" as cost_daily_key,
        "BilledCost" as billed_cost
    from {{ ref("focus_costs") }}
),

focus_omissions as (
    select * from {{ ref("focus_omissions") }}
),

lost as (
    select
        cost_daily.cost_daily_key,
        cost_daily.cost_usd,
        charges.billed_cost
    from cost_daily
    full join charges on cost_daily.cost_daily_key = charges.cost_daily_key
    where cost_daily.cost_usd is distinct from charges.billed_cost
),

untold as (
    select
        count(*) filter (where cost_usd is null) as charges_omitted,
        coalesce(sum(calls_unpriced), 0) as calls_unpriced
    from cost_daily
    except
    select
        coalesce(sum(charges_omitted), 0) as charges_omitted,
        coalesce(sum(calls_unpriced), 0) as calls_unpriced
    from focus_omissions
)

select
    cost_daily_key as fault,
    cost_usd as expected,
    billed_cost as found
from lost
union all
select
    'calls without a cost' as fault,
    calls_unpriced as expected,
    null as found
from untold
