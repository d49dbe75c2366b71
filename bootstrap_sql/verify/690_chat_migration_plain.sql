-- Raises where a function, a view, a right or a trigger is missing, or one is at work while nothing moves.

select
    1 / (count(*) = 8)::int,
    1 / (count(*) filter (where t.tgenabled = 'D') = 8 or m.phase <> 'idle')::int,
    1 / has_function_privilege('agentbooks_retention', 'chat.copy_blocks(int8range)', 'execute')::int,
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

select
    'chat.bring_back(integer)'::regprocedure,
    'chat.compare_generations()'::regprocedure,
    'chat.copy_blocks(int8range)'::regprocedure,
    'chat.copy_waiting(integer)'::regprocedure,
    'chat.copying_sql(text, boolean)'::regprocedure,
    'chat.count_sessions(uuid, integer)'::regprocedure,
    'chat.drop_copies(integer)'::regprocedure,
    'chat.fetch_sessions(uuid[])'::regprocedure,
    'chat.finish_migration(boolean)'::regprocedure,
    'chat.in_blocks(int8range)'::regprocedure,
    'chat.join_backfill()'::regprocedure,
    'chat.leave_parallel()'::regprocedure,
    'chat.make_month(date)'::regprocedure,
    'chat.mend_messages(integer)'::regprocedure,
    'chat.migration_in(text[])'::regprocedure,
    'chat.missing_months()'::regprocedure,
    'chat.next_blocks(integer)'::regprocedure,
    'chat.pair_sql()'::regprocedure,
    'chat.reopen_first()'::regprocedure,
    'chat.set_followed(text[], text[], boolean)'::regprocedure,
    'chat.start_migration()'::regprocedure,
    'chat.switch_reads(numeric)'::regprocedure,
    'chat.take_migration(text[])'::regprocedure,
    'chat.uncopied_messages()'::regprocedure,
    'chat.validate_migration()'::regprocedure;
