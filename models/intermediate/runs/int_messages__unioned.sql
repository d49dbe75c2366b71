-- One row per message of a run.
with agentic_messages as (
    select * from {{ ref("stg_agentic__conversation_history") }}
),

agentic_sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
),

chat_messages as (
    select * from {{ ref("stg_chat__messages") }}
),

session_messages as (
    select
        agentic_messages.message_id,
        case when agentic_sessions.loaded_run_id is null then 'agentic' else 'observability' end
            as source_system,
        agentic_sessions.run_id,
        agentic_messages.role,
        agentic_messages.sent_at
    from agentic_messages
    inner join agentic_sessions on agentic_messages.session_id = agentic_sessions.session_id
),

conversation_messages as (
    select
        message_id,
        'chat' as source_system,
        session_id::text as run_id,
        role,
        sent_at
    from chat_messages
)

select * from session_messages
union all
select * from conversation_messages
