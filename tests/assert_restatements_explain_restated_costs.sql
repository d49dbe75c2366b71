-- A restated cost that nobody can explain: what was billed on a day for a model, and all restatements of it,
-- must give what it is restated to.
with entries as (
    select
        day_model_key,
        coalesce(billed_computed_cost_usd, 0) - coalesce(restated_computed_cost_usd, 0)
            as computed_cost_usd,
        coalesce(billed_cost_usd, 0) - coalesce(restated_cost_usd, 0) as cost_usd
    from {{ ref("cost_restated_daily") }}
    union all
    select
        day_model_key,
        computed_delta_usd as computed_cost_usd,
        cost_delta_usd as cost_usd
    from {{ ref("cost_restatements") }}
)

select
    day_model_key,
    sum(computed_cost_usd) as computed_cost_usd,
    sum(cost_usd) as cost_usd
from entries
group by day_model_key
having sum(computed_cost_usd) <> 0 or sum(cost_usd) <> 0
