-- One row per model in use and priced model: what four weeks' usage of one would cost at the other's prices.
{{ config(materialized="view") }}

with costs as (
    select * from {{ ref("cost_daily") }}
),

prices as (
    select * from {{ ref("int_prices__combined") }}
),

cost_forecast as (
    select * from {{ ref("cost_forecast") }}
),

clock as (
    select max(usage_date) as newest_date
    from costs
),

usages as (
    select
        costs.provider,
        costs.model,
        clock.newest_date,
        sum(costs.llm_calls) as llm_calls,
        sum(costs.input_tokens) as input_tokens,
        sum(costs.cached_input_tokens) as cached_input_tokens,
        sum(costs.output_tokens) as output_tokens,
        sum(costs.cost_usd) as cost_usd
    from costs
    inner join clock on costs.usage_date > clock.newest_date - 28
    where costs.provider is not null and costs.model is not null
    group by costs.provider, costs.model, clock.newest_date
),

-- The newest edition's base price: sums over a day no longer tell how large single calls were, or when.
price_list as (
    select distinct on (prices.provider, prices.model)
        prices.provider,
        prices.model,
        prices.input_price,
        coalesce(prices.cached_input_price, prices.input_price) as cached_input_price,
        prices.output_price,
        coalesce(prices.request_price, 0) as request_price
    from prices
    cross join clock
    where
        prices.valid_from <= clock.newest_date
        and coalesce(prices.valid_to, 'infinity') > clock.newest_date
    order by
        prices.provider asc,
        prices.model asc,
        prices.known_from desc,
        prices.valid_from desc,
        prices.input_tokens_from asc,
        prices.time_from_utc asc
),

priced as (
    select
        usages.*,
        price_list.provider as other_provider,
        price_list.model as other_model,
        (
            coalesce(usages.input_tokens, 0) * price_list.input_price
            + coalesce(usages.cached_input_tokens, 0)
            * (price_list.cached_input_price - price_list.input_price)
            + coalesce(usages.output_tokens, 0) * price_list.output_price
            + usages.llm_calls * price_list.request_price
        )
        / 1000000 as list_cost_usd
    from usages
    cross join price_list
),

compared as (
    select
        others.*,
        own.list_cost_usd as own_list_cost_usd,
        others.list_cost_usd / nullif(own.list_cost_usd, 0) as cost_ratio
    from priced as others
    left join priced as own
        on
            others.provider = own.provider
            and others.model = own.model
            and own.provider = own.other_provider
            and own.model = own.other_model
    where others.list_cost_usd is not null
)

select
    {{ surrogate_key([
        "compared.provider",
        "compared.model",
        "compared.other_provider",
        "compared.other_model",
    ]) }} as cost_at_other_models_key,
    compared.provider,
    compared.model,
    compared.other_provider,
    compared.other_model,
    compared.newest_date - 27 as first_date,
    compared.newest_date as last_date,
    compared.cost_usd,
    compared.own_list_cost_usd,
    compared.list_cost_usd as other_list_cost_usd,
    compared.cost_ratio,
    cost_forecast.total_yhat_usd as next_30_days_usd,
    cost_forecast.total_yhat_usd * compared.cost_ratio as next_30_days_at_other_usd
from compared
left join cost_forecast
    on
        cost_forecast.scope_kind = 'model'
        and compared.model = cost_forecast.scope_key
        and cost_forecast.days_ahead = 30
