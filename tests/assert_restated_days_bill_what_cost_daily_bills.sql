-- A row of cost_daily that cannot be restated, because its calls or costs got lost among the price bands.
with entries as (
    select
        cost_daily_key,
        llm_calls,
        coalesce(computed_cost_usd, 0) as computed_cost_usd,
        coalesce(cost_usd, 0) as cost_usd
    from {{ ref("cost_daily") }}
    union all
    select
        cost_restated_daily_key as cost_daily_key,
        -llm_calls as llm_calls,
        -coalesce(billed_computed_cost_usd, 0) as computed_cost_usd,
        -coalesce(billed_cost_usd, 0) as cost_usd
    from {{ ref("cost_restated_daily") }}
)

select
    cost_daily_key,
    sum(llm_calls) as llm_calls,
    sum(computed_cost_usd) as computed_cost_usd,
    sum(cost_usd) as cost_usd
from entries
group by cost_daily_key
having count(*) <> 2 or sum(llm_calls) <> 0 or sum(computed_cost_usd) <> 0 or sum(cost_usd) <> 0
