do $migration$
begin
    if (select m.phase from ops.chat_migration as m) in ('parallel', 'gradual', 'leaving') then
        raise exception 'messages are on their way to chat_messages_v2; end it with agentbooks migrate-chat '
            'finish, or rollback'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
end
$migration$;

drop view chat.message_id_map;
drop view chat.messages;
drop policy chat_messages_v2_of_channels on chat.chat_messages_v2;
drop policy if exists chat_messages_v2_of_channels on archive.chat__chat_messages_v2;

drop trigger chat_messages_closed on chat.chat_messages;
drop trigger chat_messages_makes_way on chat.chat_messages;
drop trigger chat_messages_followed_by_insert on chat.chat_messages;
drop trigger chat_messages_followed_by_update on chat.chat_messages;
drop trigger chat_messages_followed_by_delete on chat.chat_messages;
drop trigger chat_messages_v2_followed_by_insert on chat.chat_messages_v2;
drop trigger chat_messages_v2_followed_by_update on chat.chat_messages_v2;
drop trigger chat_messages_v2_followed_by_delete on chat.chat_messages_v2;

drop function chat.drop_copies(int);
drop function chat.leave_parallel();
drop function chat.bring_back(int);
drop function chat.reopen_first();
drop function chat.finish_migration(boolean);
drop function chat.switch_reads(numeric);
drop function chat.mend_messages(int);
drop function chat.validate_migration();
drop function chat.compare_generations();
drop function chat.count_sessions(uuid, int);
drop function chat.copy_waiting(int);
drop function chat.copy_blocks(int8range);
drop function chat.in_blocks(int8range);
drop function chat.next_blocks(int);
drop function chat.join_backfill();
drop function chat.uncopied_messages();
drop function chat.make_month(date);
drop function chat.missing_months();
drop function chat.start_migration();
drop function chat.set_followed(text[], text[], boolean);
drop function chat.take_migration(text[]);
drop function chat.migration_in(text[]);
drop function chat.refuse_first();
drop function chat.follow_second();
drop function chat.make_way();
drop function chat.follow_first();
drop function chat.fetch_sessions(uuid[]);
drop function chat.pair_sql();
drop function chat.copying_sql(text, boolean);
