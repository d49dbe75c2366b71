-- A dimension of cost_movers whose values do not make up the whole, or a run that unit_costs or the weeks
-- count twice: shares and contributions of parts that are no parts of one whole.
with cost_movers as (
    select * from {{ ref("cost_movers") }}
),

cost_daily as (
    select * from {{ ref("cost_daily") }}
),

runs as (
    select * from {{ ref("agent_runs") }}
    where run_date is not null
),

aged as (
    select
        tenant_key,
        cost_usd,
        max(usage_date) over () - usage_date as days_ago
    from cost_daily
),

entries as (
    select
        window_days || ' days by ' || dimension as fault,
        tenant_key,
        cost_usd,
        previous_cost_usd as other
    from cost_movers
    union all
    select
        windows.window_days || ' days by ' || dimensions.dimension as fault,
        aged.tenant_key,
        case when aged.days_ago < windows.window_days then -aged.cost_usd end as cost_usd,
        case when aged.days_ago >= windows.window_days then -aged.cost_usd end as other
    from aged
    cross join (values (7), (28)) as windows (window_days)
    cross join (values ('total'), ('workflow'), ('agent'), ('model'), ('user')) as dimensions (dimension)
    where aged.days_ago < 2 * windows.window_days
    union all
    select
        'runs of unit_costs' as fault,
        tenant_key,
        cost_usd,
        priced_runs as other
    from {{ ref("unit_costs") }}
    union all
    select
        'runs of cost_trends' as fault,
        tenant_key,
        cost_usd,
        priced_runs as other
    from {{ ref("cost_trends") }}
    union all
    select
        marts.fault,
        runs.tenant_key,
        -runs.cost_usd as cost_usd,
        case when runs.cost_usd is not null then -1 end as other
    from runs
    cross join (values ('runs of unit_costs'), ('runs of cost_trends')) as marts (fault)
)

select
    fault,
    tenant_key,
    sum(cost_usd) as cost_usd,
    sum(other) as other
from entries
group by fault, tenant_key
having coalesce(sum(cost_usd), 0) <> 0 or coalesce(sum(other), 0) <> 0
