-- One row per row of cost_daily: what it cost as billed, as known now, and at the prices of the as-of day.
{%- set dimensions = [
    "usage_date", "source_system", "tenant_key", "workflow", "domain", "agent_key", "user_key",
    "provider", "model", "model_recorded", "payer",
] %}
{{ config(
    materialized="incremental",
    key="day_model_key",
    publishes="usage_date as day",
    indexes=[
        {"columns": ["cost_restated_daily_key"], "unique": true},
        {"columns": ["usage_date"]},
        {"columns": ["day_model_key"]},
    ],
) }}

{{ dirtied_by(
    [ref("int_prices__combined"), ref("int_prices__in_force")], keys_of_prices(ref("int_costs__banded"))
) }}

with banded_costs as (
    select * from {{ ref("int_costs__banded") }}
    where {{ in_dirty("day_model_key") }}
),

restated_costs as (
    select * from {{ ref("int_costs__restated") }}
    where is_newest and {{ in_dirty("day_model_key") }}
),

prices_in_force as (
    select * from {{ ref("int_prices__in_force") }}
),

priced_today as (
    select
        banded_costs.costs_banded_key,
        trim_scale(
            {{ component_costs("banded_costs.llm_calls").values() | join("\n            + ") }}
        ) as price_usd
    from banded_costs
    inner join prices_in_force
        on
            banded_costs.provider = prices_in_force.provider
            and banded_costs.model = prices_in_force.model
            and banded_costs.time_from_utc < prices_in_force.time_to_utc
            and banded_costs.time_to_utc > prices_in_force.time_from_utc
            and banded_costs.input_tokens_from < prices_in_force.input_tokens_to
            and banded_costs.input_tokens_to > prices_in_force.input_tokens_from
),

costs_today as (
    select
        costs_banded_key,
        min(price_usd) as cost_usd
    from priced_today
    group by costs_banded_key
    having count(*) = count(price_usd) and min(price_usd) = max(price_usd)
),

daily as (
    select
        banded_costs.cost_daily_key as cost_restated_daily_key,
        banded_costs.day_model_key,
        {%- for column in dimensions %}
        banded_costs.{{ column }},
        {%- endfor %}
        sum(banded_costs.llm_calls)::bigint as llm_calls,
        sum(banded_costs.computed_cost_usd) as billed_computed_cost_usd,
        sum(banded_costs.cost_usd) as billed_cost_usd,
        -- A model that has left the book altogether keeps what it cost.
        sum(coalesce(restated_costs.cost_after_usd, banded_costs.computed_cost_usd))
            as restated_computed_cost_usd,
        sum(
            case banded_costs.cost_basis
                when 'reported' then banded_costs.cost_usd
                else coalesce(restated_costs.cost_after_usd, banded_costs.computed_cost_usd)
            end
        ) as restated_cost_usd,
        sum(costs_today.cost_usd) as cost_at_todays_prices_usd,
        coalesce(sum(banded_costs.llm_calls) filter (where restated_costs.is_priced), 0)::bigint
            as calls_restated,
        coalesce(sum(banded_costs.llm_calls) filter (where costs_today.cost_usd is not null), 0)::bigint
            as calls_at_todays_prices
    from banded_costs
    left join restated_costs on banded_costs.costs_banded_key = restated_costs.costs_banded_key
    left join costs_today on banded_costs.costs_banded_key = costs_today.costs_banded_key
    group by
        {%- for column in dimensions %}
        banded_costs.{{ column }},
        {%- endfor %}
        banded_costs.cost_daily_key,
        banded_costs.day_model_key
)

select
    cost_restated_daily_key,
    day_model_key,
    {{ dimensions | join(",\n    ") }},
    llm_calls,
    billed_computed_cost_usd,
    billed_cost_usd,
    restated_computed_cost_usd,
    restated_cost_usd,
    cost_at_todays_prices_usd,
    calls_restated,
    calls_at_todays_prices
from daily
