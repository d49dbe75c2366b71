-- One row per model, time of day and size of call: the prices of its newest edition on the as-of day.
{{ config(
    materialized="incremental",
    publishes="provider, model",
    indexes=[
        {"columns": ["prices_in_force_key"], "unique": true},
        {"columns": ["provider", "model"]},
    ],
) }}

with prices as (
    select * from {{ ref("int_prices__combined") }}
),

editions as (
    select * from {{ ref("int_prices__editions") }}
),

as_of as (
    select * from {{ source("ops", "as_of") }}
)

select
    prices.prices_combined_key as prices_in_force_key,
    prices.provider,
    prices.model,
    prices.time_from_utc,
    prices.time_to_utc,
    prices.input_tokens_from,
    prices.input_tokens_to,
    prices.input_price,
    prices.cached_input_price,
    prices.cache_write_price,
    prices.output_price,
    prices.reasoning_price,
    prices.request_price
from prices
inner join editions
    on
        prices.provider = editions.provider
        and prices.model = editions.model
        and prices.known_from = editions.known_from
inner join as_of
    on prices.valid_from <= as_of.as_of_date and prices.valid_to > as_of.as_of_date
where editions.known_to = 'infinity'
