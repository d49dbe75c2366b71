-- Raises where a function, a view, a right or a trigger is missing, or one is at work while nothing moves.

select
    1 / (count(*) = 8)::int,
    1 / (count(*) filter (where t.tgenabled = 'D') = 8 or m.phase <> 'idle')::int,
    1 / has_function_privilege('agentbooks_retention', 'chat.backfill_messages(int)', 'execute')::int,
    1 / has_table_privilege('authenticated', 'chat.messages', 'select')::int,
    'chat.message_id_map'::regclass
from pg_trigger as t
cross join ops.chat_migration as m
where
    t.tgrelid in ('chat.chat_messages'::regclass, 'chat.chat_messages_v2'::regclass)
    and t.tgfoid in (
        'chat.follow_first()'::regprocedure, 'chat.follow_second()'::regprocedure,
        'chat.make_way()'::regprocedure, 'chat.refuse_first()'::regprocedure
    )
group by m.phase;
