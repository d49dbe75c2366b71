-- One row per edition of a model's prices and usage_date whose calls it makes cost something else.
{{ config(
    materialized="incremental",
    key="day_model_key",
    publishes="usage_date as day",
    indexes=[
        {"columns": ["cost_restatements_key"], "unique": true},
        {"columns": ["day_model_key"]},
    ],
) }}

{{ dirtied_by(
    [ref("int_prices__combined"), ref("int_prices__editions")], keys_of_prices(ref("int_costs__banded"))
) }}

with banded_costs as (
    select * from {{ ref("int_costs__banded") }}
    where {{ in_dirty("day_model_key") }}
),

restated_costs as (
    select * from {{ ref("int_costs__restated") }}
    where cost_after_usd is distinct from cost_before_usd and {{ in_dirty("day_model_key") }}
),

editions as (
    select * from {{ ref("int_prices__editions") }}
),

restatements as (
    select
        banded_costs.day_model_key,
        banded_costs.usage_date,
        banded_costs.provider,
        banded_costs.model,
        restated_costs.known_from,
        sum(banded_costs.llm_calls)::bigint as llm_calls,
        sum(coalesce(restated_costs.cost_before_usd, 0)) as computed_before_usd,
        sum(restated_costs.cost_after_usd) as computed_after_usd,
        sum(restated_costs.cost_after_usd - coalesce(restated_costs.cost_before_usd, 0))
            as computed_delta_usd,
        coalesce(
            sum(restated_costs.cost_after_usd - coalesce(restated_costs.cost_before_usd, 0))
            filter (where banded_costs.cost_basis <> 'reported'),
            0
        ) as cost_delta_usd
    from restated_costs
    inner join banded_costs on restated_costs.costs_banded_key = banded_costs.costs_banded_key
    group by
        banded_costs.day_model_key,
        banded_costs.usage_date,
        banded_costs.provider,
        banded_costs.model,
        restated_costs.known_from
)

select
    {{ surrogate_key([
        "restatements.day_model_key", "extract(epoch from restatements.known_from)"
    ]) }} as cost_restatements_key,
    restatements.day_model_key,
    restatements.known_from,
    restatements.usage_date,
    restatements.provider,
    restatements.model,
    editions.reason,
    restatements.llm_calls,
    restatements.computed_before_usd,
    restatements.computed_after_usd,
    restatements.computed_delta_usd,
    restatements.cost_delta_usd
from restatements
inner join editions
    on
        restatements.provider = editions.provider
        and restatements.model = editions.model
        and restatements.known_from = editions.known_from
