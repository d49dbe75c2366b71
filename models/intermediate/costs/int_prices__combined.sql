-- One row per priced model, and period, time of day and size of call for which all its prices hold.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["prices_combined_key"], "unique": true}, {"columns": ["provider", "model"]}],
) }}

with prices as (
    select * from {{ ref("int_prices__tiered") }}
),

-- Each bound of any component's price is one of them all.
date_bounds as (
    select
        provider,
        model,
        date '-infinity' as valid_from
    from prices
    union
    select
        provider,
        model,
        unnest(array[valid_from, valid_to]) as valid_from
    from prices
),

time_bounds as (
    select
        provider,
        model,
        time '00:00' as time_from_utc
    from prices
    union
    select
        provider,
        model,
        unnest(array[time_from_utc, time_to_utc]) as time_from_utc
    from prices
),

size_bounds as (
    select
        provider,
        model,
        0 as input_tokens_from
    from prices
    union
    select
        provider,
        model,
        unnest(array[input_tokens_from, input_tokens_to]) as input_tokens_from
    from prices
),

dates as (
    select
        *,
        lead(valid_from) over (partition by provider, model order by valid_from) as valid_to
    from date_bounds
),

times as (
    select
        *,
        lead(time_from_utc) over (partition by provider, model order by time_from_utc)
            as time_to_utc
    from time_bounds
),

sizes as (
    select
        *,
        lead(input_tokens_from) over (partition by provider, model order by input_tokens_from)
            as input_tokens_to
    from size_bounds
)

select
    {{ surrogate_key([
        "prices.provider",
        "prices.model",
        "case when isfinite(dates.valid_from) then dates.valid_from - date '2000-01-01' end",
        "times.time_from_utc",
        "sizes.input_tokens_from",
    ]) }} as prices_combined_key,
    prices.provider,
    prices.model,
    dates.valid_from,
    dates.valid_to,
    times.time_from_utc,
    times.time_to_utc,
    sizes.input_tokens_from,
    sizes.input_tokens_to,
    max(prices.usd_per_million) filter (where prices.component = 'input') as input_price,
    max(prices.usd_per_million) filter (where prices.component = 'cached_input')
        as cached_input_price,
    max(prices.usd_per_million) filter (where prices.component = 'cache_write') as cache_write_price,
    max(prices.usd_per_million) filter (where prices.component = 'output') as output_price,
    max(prices.usd_per_million) filter (where prices.component = 'request') as request_price
from prices
inner join dates
    on
        prices.provider = dates.provider
        and prices.model = dates.model
        and prices.valid_from <= dates.valid_from
        and prices.valid_to > dates.valid_from
inner join times
    on
        prices.provider = times.provider
        and prices.model = times.model
        and prices.time_from_utc <= times.time_from_utc
        and prices.time_to_utc > times.time_from_utc
inner join sizes
    on
        prices.provider = sizes.provider
        and prices.model = sizes.model
        and prices.input_tokens_from <= sizes.input_tokens_from
        and prices.input_tokens_to > sizes.input_tokens_from
group by
    prices.provider,
    prices.model,
    dates.valid_from,
    dates.valid_to,
    times.time_from_utc,
    times.time_to_utc,
    sizes.input_tokens_from,
    sizes.input_tokens_to
