-- Two prices for one moment and one size of call would double the call, and with it its cost.
with prices as (
    select * from {{ ref("int_prices__tiered") }}
),

numbered as (
    select
        *,
        row_number() over () as price_number
    from prices
)

select
    prices.provider,
    prices.model,
    prices.component,
    prices.valid_from,
    others.valid_from as other_valid_from
from numbered as prices
inner join numbered as others
    on
        prices.provider = others.provider
        and prices.model = others.model
        and prices.component = others.component
        and prices.price_number < others.price_number
        and prices.valid_from < others.valid_to
        and prices.valid_to > others.valid_from
        and prices.time_from_utc < others.time_to_utc
        and prices.time_to_utc > others.time_from_utc
        and prices.input_tokens_from < others.input_tokens_to
        and prices.input_tokens_to > others.input_tokens_from
