-- Two states of one agent at one moment: what it knew then would depend on which row is read.
with agent_states as (
    select * from {{ ref("stg_chat__agent_states") }}
),

followed as (
    select
        agent_id,
        state_id,
        valid_from,
        valid_until,
        lead(state_id) over states as next_state_id,
        lead(valid_from) over states as next_valid_from
    from agent_states
    window states as (
        partition by agent_id
        order by valid_from, valid_until
    )
)

select *
from followed
where next_valid_from < coalesce(valid_until, 'infinity')
