-- A call whose cost is unknown and that no counter admits to, or a sum that is zero where it should be
-- unknown: what an agent costs would look known, and too small.
with calls as (
    select * from {{ ref("int_llm_calls__priced") }}
),

cost_daily as (
    select * from {{ ref("cost_daily") }}
)

select
    'a cost without what it would be computed from' as fault,
    source_system,
    llm_call_id as row_key
from calls
where
    num_nulls(provider, model, input_tokens, output_tokens) > 0
    and (computed_cost_usd is not null or (reported_cost_usd is null and cost_usd is not null))
union all
select
    'a call that is neither reported, computed nor unpriced' as fault,
    source_system,
    cost_daily_key as row_key
from cost_daily
where llm_calls <> calls_reported + calls_computed + calls_unpriced
union all
select
    'a known sum of unknown costs' as fault,
    source_system,
    cost_daily_key as row_key
from cost_daily
where llm_calls > 0 and calls_unpriced = llm_calls and cost_usd is not null and reported_cost_usd is null
union all
select
    'an unknown sum of known costs' as fault,
    source_system,
    cost_daily_key as row_key
from cost_daily
where calls_unpriced < llm_calls and cost_usd is null
