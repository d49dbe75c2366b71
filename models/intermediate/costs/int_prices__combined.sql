-- One row per edition of a model's prices, and period, time of day and size for which all of them hold.
{%- set components = {
    "input": "input_price",
    "cached_input": "cached_input_price",
    "cache_write": "cache_write_price",
    "output": "output_price",
    "output_reasoning": "reasoning_price",
    "request": "request_price",
} %}
{{ config(
    materialized="incremental",
    publishes="provider, model, known_from",
    indexes=[
        {"columns": ["prices_combined_key"], "unique": true},
        {"columns": ["provider", "model", "known_from"]},
    ],
) }}

-- One key for both columns: taken for independent, they would let the planner expect hardly any row.
with prices as (
    select
        *,
        provider || ' ' || model as model_key
    from {{ ref("int_prices__tiered") }}
),

editions as (
    select
        *,
        provider || ' ' || model as model_key
    from {{ ref("int_prices__editions") }}
),

-- Each bound of any component's price, in any edition, is one of them all: what was counted between two
-- of them can be priced by every edition.
date_bounds as (
    select
        model_key,
        date '-infinity' as valid_from
    from prices
    union
    select
        model_key,
        unnest(array[valid_from, valid_to]) as valid_from
    from prices
),

time_bounds as (
    select
        model_key,
        time '00:00' as time_from_utc
    from prices
    union
    select
        model_key,
        unnest(array[time_from_utc, time_to_utc]) as time_from_utc
    from prices
),

size_bounds as (
    select
        model_key,
        0 as input_tokens_from
    from prices
    union
    select
        model_key,
        unnest(array[input_tokens_from, input_tokens_to]) as input_tokens_from
    from prices
),

dates as (
    select
        *,
        lead(valid_from) over (partition by model_key order by valid_from) as valid_to
    from date_bounds
),

times as (
    select
        *,
        lead(time_from_utc) over (partition by model_key order by time_from_utc)
            as time_to_utc
    from time_bounds
),

sizes as (
    select
        *,
        lead(input_tokens_from) over (partition by model_key order by input_tokens_from)
            as input_tokens_to
    from size_bounds
),

-- Book and own prices have editions of their own; the newest of each counts.
lists as (
    select
        editions.model_key,
        editions.known_from,
        prices.price_list,
        max(prices.known_from) as list_known_from
    from editions
    inner join prices
        on
            editions.model_key = prices.model_key
            and editions.known_from >= prices.known_from
    group by editions.model_key, editions.known_from, prices.price_list
),

known_prices as (
    select
        prices.*,
        lists.known_from as edition
    from lists
    inner join prices
        on
            lists.model_key = prices.model_key
            and lists.price_list = prices.price_list
            and lists.list_known_from = prices.known_from
),

combined as (
    select
        editions.provider,
        editions.model,
        editions.known_from,
        dates.valid_from,
        dates.valid_to,
        times.time_from_utc,
        times.time_to_utc,
        sizes.input_tokens_from,
        sizes.input_tokens_to,
        -- An own price wins over the book's; a discount is taken off it.
        {%- for component, price in components.items() %}
        coalesce(
            max(known_prices.usd_per_million) filter (
                where known_prices.component = '{{ component }}' and known_prices.price_list = 'own'
            ),
            max(known_prices.usd_per_million) filter (
                where known_prices.component = '{{ component }}' and known_prices.price_list = 'book'
            ) * (
                1 - coalesce(
                    max(known_prices.discount) filter (
                        where known_prices.component = '{{ component }}'
                    ),
                    0
                )
            )
        ) as {{ price }},
        {%- endfor %}
        count(known_prices.provider) > 0 as has_prices
    from editions
    inner join dates on editions.model_key = dates.model_key
    inner join times on editions.model_key = times.model_key
    inner join sizes on editions.model_key = sizes.model_key
    left join known_prices
        on
            editions.model_key = known_prices.model_key
            and editions.known_from = known_prices.edition
            and dates.valid_from >= known_prices.valid_from
            and dates.valid_from < known_prices.valid_to
            and times.time_from_utc >= known_prices.time_from_utc
            and times.time_from_utc < known_prices.time_to_utc
            and sizes.input_tokens_from >= known_prices.input_tokens_from
            and sizes.input_tokens_from < known_prices.input_tokens_to
    where
        dates.valid_to is not null
        and times.time_to_utc is not null
        and sizes.input_tokens_to is not null
    group by
        editions.provider,
        editions.model,
        editions.known_from,
        dates.valid_from,
        dates.valid_to,
        times.time_from_utc,
        times.time_to_utc,
        sizes.input_tokens_from,
        sizes.input_tokens_to
)

select
    {{ surrogate_key([
        "provider",
        "model",
        "extract(epoch from known_from)",
        "case when isfinite(valid_from) then valid_from - date '2000-01-01' end",
        "time_from_utc",
        "input_tokens_from",
    ]) }} as prices_combined_key,
    provider,
    model,
    known_from,
    valid_from,
    valid_to,
    time_from_utc,
    time_to_utc,
    input_tokens_from,
    input_tokens_to,
    -- What a list does not charge costs nothing; where there is no list, nothing is known.
    case when has_prices then coalesce(input_price, 0) end as input_price,
    case when has_prices then coalesce(cached_input_price, input_price, 0) end as cached_input_price,
    case when has_prices then coalesce(cache_write_price, input_price, 0) end as cache_write_price,
    case when has_prices then coalesce(output_price, 0) end as output_price,
    case when has_prices then coalesce(reasoning_price, output_price, 0) end as reasoning_price,
    case when has_prices then coalesce(request_price, 0) end as request_price
from combined
