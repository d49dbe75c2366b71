-- One row per price band of int_costs__banded and edition of its prices, from the one it was billed by on.
with banded_costs as (
    select * from {{ ref("int_costs__banded") }}
),

prices as (
    select * from {{ ref("int_prices__combined") }}
),

-- The bounds of a frozen band are those of its time. Where a later edition has one in between, the band is
-- priced only if that makes no difference.
priced as (
    select
        banded_costs.costs_banded_key,
        banded_costs.day_model_key,
        banded_costs.computed_cost_usd as billed_cost_usd,
        prices.known_from,
        trim_scale(
            {{ component_costs("banded_costs.llm_calls").values() | join("\n            + ") }}
        ) as price_usd
    from banded_costs
    inner join prices
        on
            banded_costs.provider = prices.provider
            and banded_costs.model = prices.model
            and banded_costs.price_known_from <= prices.known_from
            and banded_costs.usage_date >= prices.valid_from
            and banded_costs.usage_date < prices.valid_to
            and banded_costs.time_from_utc < prices.time_to_utc
            and banded_costs.time_to_utc > prices.time_from_utc
            and banded_costs.input_tokens_from < prices.input_tokens_to
            and banded_costs.input_tokens_to > prices.input_tokens_from
),

by_edition as (
    select
        costs_banded_key,
        day_model_key,
        billed_cost_usd,
        known_from,
        case when count(*) = count(price_usd) and min(price_usd) = max(price_usd) then min(price_usd) end
            as price_usd
    from priced
    group by costs_banded_key, day_model_key, billed_cost_usd, known_from
),

-- What an edition cannot price costs what it cost before.
steps as (
    select
        *,
        count(price_usd) over (
            partition by day_model_key, costs_banded_key order by known_from
        ) as prices_so_far
    from by_edition
),

carried as (
    select
        *,
        coalesce(
            max(price_usd) over (partition by day_model_key, costs_banded_key, prices_so_far),
            billed_cost_usd
        ) as cost_after_usd
    from steps
)

select
    {{ surrogate_key(["costs_banded_key", "extract(epoch from known_from)"]) }} as costs_restated_key,
    costs_banded_key,
    day_model_key,
    known_from,
    known_from = max(known_from) over (partition by day_model_key, costs_banded_key) as is_newest,
    price_usd is not null as is_priced,
    lag(cost_after_usd, 1, billed_cost_usd) over (
        partition by day_model_key, costs_banded_key order by known_from
    ) as cost_before_usd,
    cost_after_usd
from carried
