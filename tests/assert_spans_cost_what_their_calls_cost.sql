-- A call that span_costs has lost or doubled, or has added to the agent or job span above it as well: the
-- breakdown of a workflow would not be one of what it costs.
with span_costs as (
    select * from {{ ref("span_costs") }}
),

activities as (
    select * from {{ ref("int_runs__daily_activity") }}
    where source_system in ('observability', 'raaf') and payer is not null
),

entries as (
    select
        usage_date,
        source_system,
        call_cost_usd as cost_usd,
        calls_unpriced
    from span_costs
    union all
    select
        activity_date as usage_date,
        source_system,
        -cost_usd as cost_usd,
        -calls_unpriced as calls_unpriced
    from activities
)

select
    usage_date,
    source_system,
    sum(cost_usd) as cost_usd,
    sum(calls_unpriced) as calls_unpriced
from entries
where usage_date not in ({{ unsettled_days() }})
group by usage_date, source_system
having coalesce(sum(cost_usd), 0) <> 0 or sum(calls_unpriced) <> 0
