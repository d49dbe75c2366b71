-- Two prices for one moment and one size of call: which of them is meant nobody can tell.
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
    format(
        'two prices of %s/%s, component %s, in %s hold at once, from %s to %s and from %s to %s: '
        'let one end where the other begins.',
        prices.provider,
        prices.model,
        prices.component,
        case prices.price_list when 'own' then 'own_prices' else 'model_prices' end,
        prices.valid_from,
        prices.valid_to,
        others.valid_from,
        others.valid_to
    ) as fault
from numbered as prices
inner join numbered as others
    on
        prices.price_list = others.price_list
        and prices.provider = others.provider
        and prices.model = others.model
        and prices.component = others.component
        and prices.known_from = others.known_from
        and prices.price_number < others.price_number
        and prices.valid_from < others.valid_to
        and prices.valid_to > others.valid_from
        and prices.time_from_utc < others.time_to_utc
        and prices.time_to_utc > others.time_from_utc
        and prices.input_tokens_from < others.input_tokens_to
        and prices.input_tokens_to > others.input_tokens_from
