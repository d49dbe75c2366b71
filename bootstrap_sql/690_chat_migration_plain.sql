-- The move itself. Triggers write to both tables what applications write to one, a backfill copies what
-- was there before, and a view reads the one or the other. A cluster skips this file, as it has no
-- triggers.
--
-- What a writer's session plans once is planned without `enable_seqscan`: the tables may be empty then.
-- Where all messages are compared with all, without `enable_mergejoin`, which would read each by an index.
--
-- A pair is a message of the same id, time, tenant and speaker in both: whoever takes the id of somebody
-- else's message has no pair. Only the owner's functions write without being followed, by the condition
-- `when` of the triggers: so that nothing goes back and forth.

set local role agentbooks_owner;

-- All that is needed to copy rows o of a query, as SQL: a function of its own could not see the rows of a
-- trigger. The embedding is not there on a server without vectors.
create function chat.copying_sql(source text, is_known boolean, out sessions text, out messages text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    is_free constant text :=
        'chat.refusal(o.sender_user_id, o.sender_agent_id, o.metadata, '
        'date_trunc(''month'', o.created_at at time zone ''UTC'')::date in (select d.month from ops.departures as d '
        'where d.table_name = ''chat.chat_messages_v2'' and d.removed_at is not null)) is null';
    conversation constant text := 'coalesce(o.channel_id, o.sender_user_id, o.sender_agent_id)';
begin
    -- An ended session: the trigger of its messages refuses whoever would go on in it.
    sessions := format(
        'insert into chat.conversation_sessions (id, conversation_id, user_id, agent_id, started_at, '
        'last_active, status, tenant_id, change_id) '
        'select chat.first_session(s.tenant_id, s.conversation_id, coalesce(s.sender_user_id, s.sender_agent_id)), '
        's.conversation_id, s.sender_user_id, s.sender_agent_id, s.started_at, s.last_active, ''completed'', '
        's.tenant_id, s.change_id '
        'from (select %s as conversation_id, o.sender_user_id, o.sender_agent_id, o.tenant_id, '
        'min(o.created_at) as started_at, max(o.created_at) as last_active, min(o.change_id) as change_id '
        'from (%s) as o where num_nonnulls(o.sender_user_id, o.sender_agent_id) = 1 '
        'group by 1, 2, 3, 4) as s on conflict do nothing', conversation, source
    );
    -- A refresh has nothing to count: the change is that of the message.
    messages := format(
        'insert into chat.chat_messages_v2 (id, session_id, conversation_id, channel_id, sender_user_id, '
        'sender_agent_id, role, content, metadata, created_at, updated_at, tenant_id, change_id%1$s) '
        'select o.id, chat.first_session(o.tenant_id, %2$s, coalesce(o.sender_user_id, o.sender_agent_id)), %2$s, '
        'o.channel_id, o.sender_user_id, o.sender_agent_id, '
        'case when o.sender_agent_id is null then ''user'' else ''assistant'' end, '
        'jsonb_build_object(''type'', ''text'', ''text'', o.content), coalesce(o.metadata, ''{}''), '
        'o.created_at, o.created_at, o.tenant_id, o.change_id%1$s from (%3$s) as o where %4$s '
        '%5$s on conflict do nothing', (chat.pair_sql()).embedding, conversation, source, is_free,
        case
            when is_known then
                'and (select true from history.chat__chat_messages_v2 as n '
                'where n.id = o.id and n.created_at = o.created_at limit 1) is null'
        end
    );
end
$function$;

comment on function chat.copying_sql(text, boolean) is
'Statements that copy messages of the first generation, given by a query, and make their sessions; of some '
'the second may have a copy.';

-- Of a message o of the first generation and n of the second.
create function chat.pair_sql(
    out is_different text, out to_first text, out to_second text, out embedding text
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    is_copy constant text := 'chat.is_first_session(n.session_id)';
    speaker constant text := 'coalesce(o.sender_user_id, o.sender_agent_id)';
    has_embedding constant boolean := exists (
        select from pg_attribute as a
        where a.attrelid = 'chat.chat_messages'::regclass and a.attname = 'embedding' and not a.attisdropped
    );
begin
    embedding := case when has_embedding then ', embedding' else '' end;
    -- Of what an erasure has emptied, the second keeps the tokens.
    is_different :=
        '((o.content, o.channel_id, o.sender_user_id, o.sender_agent_id, o.created_at, o.tenant_id, '
        'case when o.content <> ''[removed]'' then coalesce(o.metadata, ''{}'') end) is distinct from '
        '(chat.text_of(n.content), n.channel_id, n.sender_user_id, n.sender_agent_id, n.created_at, '
        'n.tenant_id, case when o.content <> ''[removed]'' then coalesce(n.metadata, ''{}'') end)'
        || case
            when has_embedding
                then
                    ' or (o.embedding is null) <> (n.embedding is null) '
                    'or o.embedding operator(public.<>) n.embedding'
            else ''
        end || ')';
    to_first :=
        'channel_id = n.channel_id, sender_user_id = n.sender_user_id, '
        'sender_agent_id = n.sender_agent_id, created_at = n.created_at, tenant_id = n.tenant_id, '
        'content = chat.text_of(n.content), '
        'metadata = case when coalesce(o.metadata, ''{}'') = coalesce(n.metadata, ''{}'') then o.metadata '
        'else n.metadata end' || case when has_embedding then ', embedding = n.embedding' else '' end;
    to_second := format(
        'channel_id = o.channel_id, sender_user_id = o.sender_user_id, '
        'sender_agent_id = o.sender_agent_id, created_at = o.created_at, tenant_id = o.tenant_id, '
        'content = chat.content_of(o.content, n.content), '
        'metadata = case when coalesce(n.metadata, ''{}'') = coalesce(o.metadata, ''{}'') then n.metadata '
        'else coalesce(o.metadata, ''{}'') end, '
        'session_id = case when %1$s then chat.first_session(o.tenant_id, coalesce(o.channel_id, %2$s), %2$s) '
        'else n.session_id end, '
        'conversation_id = case when %1$s then coalesce(o.channel_id, %2$s) else n.conversation_id end, '
        'role = case when not %1$s then n.role when o.sender_agent_id is null then ''user'' '
        'else ''assistant'' end', is_copy, speaker
    ) || case when has_embedding then ', embedding = o.embedding' else '' end;
end
$function$;

comment on function chat.pair_sql() is
'SQL over a message o of the first generation and n of the second: the condition that they differ, the '
'columns of either as the other has them, and what there is of an embedding.';

create function chat.follow_first() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set lock_timeout = '400ms'
as $function$
declare
    copying record;
    pair constant record := chat.pair_sql();
    is_known boolean;
    relation text;
    relations text[] := array['chat.chat_messages_v2'];
    is_pair constant text :=
        'n.id = p.id and n.created_at = p.created_at and n.tenant_id = p.tenant_id '
        'and coalesce(n.sender_user_id, n.sender_agent_id) = coalesce(p.sender_user_id, p.sender_agent_id)';
begin
    -- Retention and erasure go to both tables themselves.
    if tg_op <> 'INSERT' and current_setting('agentbooks.is_lifecycle', true) = 'on' and ops.is_lifecycle() then
        return null;
    end if;
    perform set_config('agentbooks.is_chat_copy', 'on', true);
    if tg_op <> 'INSERT' then
        if exists (select from old_rows as p where p.created_at < date_trunc('month', now(), 'UTC')) then
            relations := array_append(relations, 'archive.chat__chat_messages_v2');
        end if;
    end if;

    -- Questions whose plans last for the session decide on statements that are planned each time.
    if tg_op = 'DELETE' then
        foreach relation in array relations loop
            -- With its channel goes what was said in it first; a message of a session loses the channel.
            execute format(
                'delete from %s as n using old_rows as p where %s and (chat.is_first_session(n.session_id) '
                'or p.channel_id is null or exists (select from chat.chat_channels as c where c.id = p.channel_id))',
                relation, is_pair
            );
        end loop;
    else
        is_known := exists (
            select from new_rows as p
            where (select true from history.chat__chat_messages_v2 as n where n.id = p.id limit 1)
        );
        if is_known and tg_op = 'INSERT' then
            -- Whoever writes both has written the other one before, and more fully.
            execute format(
                'update chat.chat_messages as o set %s from new_rows as p, chat.chat_messages_v2 as n '
                'where o.id = p.id and n.id = p.id and n.tenant_id = p.tenant_id '
                'and coalesce(n.sender_user_id, n.sender_agent_id) = coalesce(p.sender_user_id, p.sender_agent_id) '
                'and not chat.is_first_session(n.session_id) and %s', pair.to_first, pair.is_different
            );
        end if;
        select * into copying from chat.copying_sql(
            case
                when is_known
                    then 'select o.* from chat.chat_messages as o where o.id in (select p.id from new_rows as p)'
                else 'select p.* from new_rows as p'
            end, is_known
        );
        -- What is being written elsewhere must not keep the writer: the next backfill copies the message.
        begin
            if exists (
                select from new_rows as p
                where not exists (
                    select from chat.conversation_sessions as s
                    where s.id = chat.first_session(
                        p.tenant_id, coalesce(p.channel_id, p.sender_user_id, p.sender_agent_id),
                        coalesce(p.sender_user_id, p.sender_agent_id)
                    )
                )
            ) then
                perform chat.fetch_sessions(array(
                    select chat.first_session(
                        p.tenant_id, coalesce(p.channel_id, p.sender_user_id, p.sender_agent_id),
                        coalesce(p.sender_user_id, p.sender_agent_id)
                    )
                    from new_rows as p
                ));
                execute copying.sessions;
            end if;
            if not is_known then
                execute copying.messages;
            end if;
        exception
            when lock_not_available then
                null;
        end;
        if is_known and tg_op = 'UPDATE' then
            foreach relation in array relations loop
                execute format(
                    'delete from %s as n using old_rows as p join new_rows as o on p.id = o.id '
                    'where %s and chat.is_first_session(n.session_id) '
                    'and chat.refusal(o.sender_user_id, o.sender_agent_id, o.metadata, false) is not null',
                    relation, is_pair
                );
                execute format(
                    'update %s as n set %s from old_rows as p join new_rows as o on p.id = o.id '
                    'where %s and %s', relation, pair.to_second, is_pair, pair.is_different
                );
            end loop;
        end if;
        if is_known then
            begin
                execute copying.messages;
            exception
                when lock_not_available then
                    null;
            end;
        end if;
    end if;
    perform set_config('agentbooks.is_chat_copy', '', true);
    return null;
end
$function$;

comment on function chat.follow_first() is
'Trigger: does in chat_messages_v2, and its archive, what has been done in chat_messages.';

create function chat.fetch_sessions(ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    if exists (select from archive.chat__conversation_sessions as s where s.id = any(ids)) then
        execute format(
            'with back as (delete from archive.chat__conversation_sessions as s where s.id = any($1) returning s.*) '
            'insert into chat.conversation_sessions (%1$s) select %1$s from back on conflict do nothing',
            ops.columns_of('chat.conversation_sessions')
        ) using ids;
    end if;
end
$function$;

comment on function chat.fetch_sessions(uuid[]) is
'Brings sessions back that are archived: somebody speaks again.';

-- Whoever writes both, and this one second, finds a row that we have made; theirs takes its place.
create function chat.make_way() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $function$
begin
    if exists (select from chat.chat_messages as o where o.id = new.id) then
        perform set_config('agentbooks.is_chat_copy', 'on', true);
        delete from chat.chat_messages as o
        using chat.chat_messages_v2 as n
        where o.id = new.id and n.id = new.id and n.created_at = o.created_at
            and not chat.is_first_session(n.session_id)
            and n.tenant_id = new.tenant_id and o.tenant_id = new.tenant_id
            and coalesce(n.sender_user_id, n.sender_agent_id) = coalesce(new.sender_user_id, new.sender_agent_id)
            and coalesce(o.sender_user_id, o.sender_agent_id) = coalesce(new.sender_user_id, new.sender_agent_id);
        perform set_config('agentbooks.is_chat_copy', '', true);
    end if;
    return new;
end
$function$;

comment on function chat.make_way() is
'Trigger: before an insert into chat_messages, removes the row that stands for the same message of a '
'session.';

create function chat.follow_second() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set lock_timeout = '400ms'
as $function$
declare
    pair constant record := chat.pair_sql();
    is_pair constant text :=
        'o.id = p.id and o.created_at = p.created_at and o.tenant_id = p.tenant_id '
        'and coalesce(o.sender_user_id, o.sender_agent_id) = coalesce(p.sender_user_id, p.sender_agent_id)';
begin
    if current_setting('agentbooks.is_lifecycle', true) = 'on' and ops.is_lifecycle() then
        return null;
    end if;
    perform set_config('agentbooks.is_chat_copy', 'on', true);
    case tg_op
        when 'INSERT' then
            if exists (
                select from new_rows as p
                where (select true from chat.chat_messages as o where o.id = p.id)
            ) then
                -- Planned each time: a plan from before the copies would look at all of them.
                execute
                    'delete from chat.chat_messages_v2 as n using new_rows as p '
                    'where n.id = p.id and n.tenant_id = p.tenant_id '
                    'and coalesce(n.sender_user_id, n.sender_agent_id) '
                    '= coalesce(p.sender_user_id, p.sender_agent_id) '
                    'and chat.is_first_session(n.session_id) and not chat.is_first_session(p.session_id)';
                execute format(
                    'update chat.chat_messages as o set %s from new_rows as n where o.id = n.id '
                    'and o.tenant_id = n.tenant_id and coalesce(o.sender_user_id, o.sender_agent_id) '
                    '= coalesce(n.sender_user_id, n.sender_agent_id) and %s', pair.to_first, pair.is_different
                );
            end if;
            execute format(
                'insert into chat.chat_messages (id, channel_id, sender_user_id, sender_agent_id, content, metadata, '
                'created_at, tenant_id%1$s) select n.id, n.channel_id, n.sender_user_id, n.sender_agent_id, '
                'chat.text_of(n.content), nullif(n.metadata, ''{}''), n.created_at, n.tenant_id%1$s '
                'from new_rows as n where n.channel_id is not null '
                'and coalesce(n.sender_user_id, n.sender_agent_id) is not null on conflict do nothing', pair.embedding
            );
        when 'UPDATE' then
            execute format(
                'update chat.chat_messages as o set %s from old_rows as p join new_rows as n '
                'on p.id = n.id and p.session_id = n.session_id where %s and %s',
                pair.to_first, is_pair, pair.is_different
            );
        when 'DELETE' then
            execute format('delete from chat.chat_messages as o using old_rows as p where %s', is_pair);
    end case;
    perform set_config('agentbooks.is_chat_copy', '', true);
    return null;
end
$function$;

comment on function chat.follow_second() is
'Trigger: does in chat_messages what has been done to messages of a channel in chat_messages_v2.';

create function chat.refuse_first() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    raise exception 'chat_messages: it has moved and takes no more; write chat_messages_v2'
        using errcode = 'AB410', hint = 'Read chat.messages, which has the messages of both.';
end
$function$;

comment on function chat.refuse_first() is
'Trigger: refuses writes to chat_messages once it has moved (AB410).';

-- Disabled until the move begins: a phase is what is enabled, and holds for transactions too that have
-- begun before it.
do $triggers$
declare
    followed record;
begin
    for followed in
        select *
        from (values
            ('chat_messages', 'insert', 'referencing new table as new_rows'),
            ('chat_messages', 'update', 'referencing old table as old_rows new table as new_rows'),
            ('chat_messages', 'delete', 'referencing old table as old_rows'),
            ('chat_messages_v2', 'insert', 'referencing new table as new_rows'),
            ('chat_messages_v2', 'update', 'referencing old table as old_rows new table as new_rows'),
            ('chat_messages_v2', 'delete', 'referencing old table as old_rows')
        ) as f (table_name, event, transition_tables)
    loop
        execute format(
            'create trigger %1$s_followed_by_%2$s after %2$s on chat.%1$s %3$s for each statement '
            'when (current_user <> ''agentbooks_owner'' '
            'or current_setting(''agentbooks.is_chat_copy'', true) is distinct from ''on'') '
            'execute function chat.%4$s()',
            followed.table_name, followed.event, followed.transition_tables,
            case followed.table_name when 'chat_messages' then 'follow_first' else 'follow_second' end
        );
        execute format(
            'alter table chat.%1$s disable trigger %1$s_followed_by_%2$s', followed.table_name, followed.event
        );
    end loop;
end
$triggers$;

create trigger chat_messages_makes_way before insert on chat.chat_messages
for each row
when (
    current_user <> 'agentbooks_owner'
    or current_setting('agentbooks.is_chat_copy', true) is distinct from 'on'
)
execute function chat.make_way();
alter table chat.chat_messages disable trigger chat_messages_makes_way;

-- Not what goes with a channel, a user or by retention: the owner deletes that.
create trigger chat_messages_closed before insert or update or delete on chat.chat_messages
for each statement when (current_user <> 'agentbooks_owner')
execute function chat.refuse_first();
alter table chat.chat_messages disable trigger chat_messages_closed;


-- As in the first table: who is in the channel sees what was said there.
create policy chat_messages_v2_of_channels on chat.chat_messages_v2
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and chat.is_first_session(session_id)
    and channel_id in (select c.id from chat.chat_channels as c)
);

create view chat.messages with (security_invoker = true) as
select
    n.id,
    n.conversation_id,
    n.session_id,
    n.channel_id,
    n.sender_user_id,
    n.sender_agent_id,
    n.role,
    n.content,
    chat.text_of(n.content) as said,
    n.metadata,
    n.created_at,
    n.tenant_id
from chat.chat_messages_v2 as n
where
    chat.place_of(coalesce(n.channel_id, n.conversation_id)) < (select chat.read_share())
    or (
        not chat.is_first_session(n.session_id)
        and (
            select true from chat.chat_messages as o
            where o.id = n.id and o.created_at = n.created_at
        ) is null
    )
union all
select
    o.id,
    coalesce(n.conversation_id, o.channel_id, o.sender_user_id, o.sender_agent_id) as conversation_id,
    n.session_id,
    o.channel_id,
    o.sender_user_id,
    o.sender_agent_id,
    case when o.sender_agent_id is null then 'user' else 'assistant' end::varchar(20) as role,
    jsonb_build_object('type', 'text', 'text', o.content) as content,
    o.content as said,
    o.metadata,
    o.created_at,
    o.tenant_id
from chat.chat_messages as o
left join lateral (
    select
        m.conversation_id,
        m.session_id
    from chat.chat_messages_v2 as m
    where m.id = o.id and m.created_at = o.created_at
    order by m.session_id
    limit 1
) as n on true
where
    n.session_id is null
    or chat.place_of(coalesce(o.channel_id, n.conversation_id)) >= (select chat.read_share());

grant select on chat.messages to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;

comment on view chat.messages is
'One row per message of either generation, whichever table it is read from: what applications read while '
'messages move. A conversation is read from one table, by ops.chat_migration.read_share.';
comment on column chat.messages.id is 'The message.';
comment on column chat.messages.conversation_id is
'Conversation; of the first generation its channel, or who spoke outside of channels.';
comment on column chat.messages.session_id is 'Session; null of what is in the first table alone.';
comment on column chat.messages.channel_id is 'Channel it was said in; null if in none.';
comment on column chat.messages.sender_user_id is 'User who speaks; null if none does.';
comment on column chat.messages.sender_agent_id is 'Agent who speaks; null if none does.';
comment on column chat.messages.role is 'As what it is shown to the model.';
comment on column chat.messages.content is 'As in chat_messages_v2. Personal data.';
comment on column chat.messages.said is 'As in chat_messages. Personal data.';
comment on column chat.messages.metadata is 'An object; null and {} both mean none.';
comment on column chat.messages.created_at is 'When it was said.';
comment on column chat.messages.tenant_id is 'Tenant.';

create view chat.message_id_map with (security_invoker = true) as
select
    o.id as old_id,
    n.id as new_id,
    n.session_id,
    n.created_at,
    chat.is_first_session(n.session_id) as is_copy
from history.chat__chat_messages as o
inner join history.chat__chat_messages_v2 as n on o.id = n.id and o.created_at = n.created_at;

grant select on chat.message_id_map to agentbooks_retention, service_role, authenticated;

comment on view chat.message_id_map is
'One row per message that is in both tables, or their archives: where the second has it. Made of the rows '
'themselves, so that it cannot say otherwise.';
comment on column chat.message_id_map.old_id is 'Id in chat_messages.';
comment on column chat.message_id_map.new_id is 'Id in chat_messages_v2: the same.';
comment on column chat.message_id_map.session_id is 'Session there, which with id and created_at is the key.';
comment on column chat.message_id_map.created_at is 'When it was said, in both.';
comment on column chat.message_id_map.is_copy is
'Whether it was said in the first table; else it was said in a session and copied into the first.';


create function chat.migration_in(variadic phases text[]) returns ops.chat_migration
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    migration ops.chat_migration;
begin
    select * into migration from ops.chat_migration;
    if migration.phase <> all(phases) then
        raise exception 'the migration is in phase %, and this is done in %',
            migration.phase, array_to_string(phases, ' or ')
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    return migration;
end
$function$;

comment on function chat.migration_in(text[]) is
'The state of the migration, which must be in one of these phases.';

create function chat.take_migration(variadic phases text[]) returns ops.chat_migration
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.chat_migration', 0));
    return chat.migration_in(variadic phases);
end
$function$;

comment on function chat.take_migration(text[]) is
'The state of the migration, which nobody else changes until the transaction ends; it must be in one of '
'these phases.';

-- Once both are locked, every writer has committed: what was there is to be copied, what comes is followed.
create function chat.set_followed(first text[], second text[], is_closed boolean) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '60ms'
as $function$
declare
    event text;
begin
    lock table only chat.chat_messages, only chat.chat_messages_v2 in share row exclusive mode;
    foreach event in array '{insert,update,delete}'::text[] loop
        execute format(
            'alter table chat.chat_messages %s trigger chat_messages_followed_by_%s',
            case when event = any(first) then 'enable' else 'disable' end, event
        );
        execute format(
            'alter table only chat.chat_messages_v2 %s trigger chat_messages_v2_followed_by_%s',
            case when event = any(second) then 'enable' else 'disable' end, event
        );
    end loop;
    execute format(
        'alter table chat.chat_messages %s trigger chat_messages_makes_way',
        case when 'insert' = any(second) then 'enable' else 'disable' end
    );
    execute format(
        'alter table chat.chat_messages %s trigger chat_messages_closed',
        case when is_closed then 'enable' else 'disable' end
    );
end
$function$;

comment on function chat.set_followed(text[], text[], boolean) is
'Says what is followed from now on in the first table and in the second, and whether the first takes no '
'more. Gives up when writers would wait for more than 60 ms: call it again.';

create function chat.start_migration() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    perform chat.take_migration('idle');
    perform chat.set_followed('{insert,update,delete}', '{insert,update,delete}', false);
    update ops.chat_migration
    set phase = 'parallel', file_node = pg_relation_filenode('chat.chat_messages'), next_block = 0,
        end_block = pg_relation_size('chat.chat_messages') / current_setting('block_size')::int,
        is_backfilled = false, findings = null, validated_at = null, changed_at = clock_timestamp();
end
$function$;

comment on function chat.start_migration() is
'From idle to parallel: from now on what is written to one table is written to the other.';

create function chat.missing_months() returns setof date
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    with months as materialized (
        select distinct date_trunc('month', o.created_at at time zone 'UTC')::date as month
        from chat.chat_messages as o
    )

    select m.month
    from months as m
    where
        to_regclass('chat.' || ops.month_partition_name('chat.chat_messages_v2', m.month)) is null
        and m.month not in (
            select d.month from ops.departures as d
            where d.table_name = 'chat.chat_messages_v2' and d.removed_at is not null
        )
    order by m.month;
end;

comment on function chat.missing_months() is
'Months of messages of the first generation for which the second has no partition.';

create function chat.make_month(month date) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '60ms'
as $function$
begin
    perform ops.create_month_partitions('chat.chat_messages_v2', month, month);
end
$function$;

comment on function chat.make_month(date) is
'Makes a month of chat_messages_v2, or gives up when writers would wait for more than 60 ms.';

create function chat.uncopied_messages() returns table (id uuid, reason text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set enable_mergejoin = off
begin atomic
    select
        o.id,
        chat.refusal(
            o.sender_user_id, o.sender_agent_id, o.metadata,
            date_trunc('month', o.created_at at time zone 'UTC')::date in (
                select d.month from ops.departures as d
                where d.table_name = 'chat.chat_messages_v2' and d.removed_at is not null
            )
        ) as reason
    from chat.chat_messages as o
    left join history.chat__chat_messages_v2 as n on o.id = n.id and o.created_at = n.created_at
    where n.id is null;
end;

comment on function chat.uncopied_messages() is
'Messages of the first table that the second does not have: with a reason it refuses them, without they '
'wait.';

-- Several sessions copy at once, each the blocks that it has taken.
create function chat.join_backfill() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    migration ops.chat_migration;
begin
    perform pg_advisory_xact_lock_shared(hashtextextended('ops.chat_migration', 0));
    migration := chat.migration_in('parallel', 'gradual', 'done');
    if migration.closed_change_id is not null and migration.phase <> 'done' then
        raise exception 'messages are still being brought back; run agentbooks migrate-chat rollback again'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    perform set_config('agentbooks.is_chat_copy', 'on', true);
end
$function$;

comment on function chat.join_backfill() is
'Has the transaction copy messages, beside others that do; nobody changes the phase until it ends.';

create function chat.next_blocks(blocks int default 100) returns int8range
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '400ms'
as $function$
declare
    migration ops.chat_migration;
    taken int8range;
    copying record;
begin
    perform chat.join_backfill();
    select * into migration from ops.chat_migration for update;
    -- A rewrite of the table has put its rows elsewhere.
    if migration.file_node is distinct from pg_relation_filenode('chat.chat_messages') then
        migration.next_block := 0;
        migration.end_block :=
            pg_relation_size('chat.chat_messages') / current_setting('block_size')::int;
    end if;
    if migration.next_block < migration.end_block then
        taken := int8range(
            migration.next_block, least(migration.next_block + blocks, migration.end_block)
        );
        -- Here, where sessions take turns: two that made the same ones would wait for each other's messages.
        copying := chat.copying_sql('select o.* from chat.chat_messages as o where ' || chat.in_blocks(taken), true);
        execute copying.sessions;
        update ops.chat_migration
        set next_block = upper(taken), end_block = migration.end_block,
            file_node = pg_relation_filenode('chat.chat_messages');
    end if;
    perform set_config('agentbooks.is_chat_copy', '', true);
    return taken;
end
$function$;

comment on function chat.next_blocks(int) is
'Takes the next blocks of the first table, for chat.copy_blocks, and makes the sessions of their messages; '
'null at the end. What is taken and never copied is left to chat.copy_waiting.';

create function chat.in_blocks(blocks int8range) returns text
language sql
immutable
return format('o.ctid >= ''(%s,0)'' and o.ctid < ''(%s,0)''', lower(blocks), upper(blocks));

comment on function chat.in_blocks(int8range) is
'The condition that a message o of the first table is in these blocks, as SQL.';

create function chat.copy_blocks(blocks int8range) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '400ms'
as $function$
declare
    copying record;
    copied bigint;
begin
    perform chat.join_backfill();
    -- Locked, so that nobody deletes or edits what is being copied; who is at it follows himself.
    copying := chat.copying_sql(
        format('select o.* from chat.chat_messages as o where %s for share skip locked', chat.in_blocks(blocks)),
        true
    );
    begin
        execute copying.messages;
        get diagnostics copied = row_count;
    exception
        -- Of a message that came in between the session is missing: all of these wait for the end.
        when foreign_key_violation then
            copied := 0;
    end;
    perform set_config('agentbooks.is_chat_copy', '', true);
    return copied;
end
$function$;

comment on function chat.copy_blocks(int8range) is
'Copies the messages of blocks that chat.next_blocks has given; returns how many.';

create function chat.copy_waiting(batch int default 2000) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '400ms'
as $function$
declare
    waiting uuid[];
    copying record;
    copied bigint := 0;
begin
    perform chat.join_backfill();
    -- What was locked when its block was copied, or a writer could not copy.
    waiting := array(select w.id from chat.uncopied_messages() as w where w.reason is null limit batch);
    if waiting = '{}' then
        update ops.chat_migration set is_backfilled = true;
    else
        copying := chat.copying_sql(
            format('select o.* from chat.chat_messages as o where o.id = any(%L)', waiting), true
        );
        execute copying.sessions;
        copying := chat.copying_sql(
            format('select o.* from chat.chat_messages as o where o.id = any(%L) for share skip locked', waiting),
            true
        );
        execute copying.messages;
        get diagnostics copied = row_count;
    end if;
    perform set_config('agentbooks.is_chat_copy', '', true);
    return copied;
end
$function$;

comment on function chat.copy_waiting(int) is
'Copies what no block has brought; returns how many messages. Call it until ops.chat_migration says '
'is_backfilled, each time in a transaction of its own.';

create function chat.count_sessions(after uuid default null, batch int default 100) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    ids uuid[];
begin
    ids := array(
        select s.id
        from chat.conversation_sessions as s
        where s.id > coalesce(after, 'c4a70001-0001-8001-8000-000000000000') and chat.is_first_session(s.id)
        order by s.id
        limit batch
    );
    perform chat.record_message_counts(variadic ids);
    return ids[cardinality(ids)];
end
$function$;

comment on function chat.count_sessions(uuid, int) is
'Counts the messages of made-up sessions anew, those after this one; returns the last, null at the end.';

create function chat.compare_generations() returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set enable_mergejoin = off
as $function$
declare
    findings jsonb;
begin
    execute format(
        $sql$
        with compared as (
            select
                o.*,
                n.id is not null as is_copied,
                n.id is not null and %s as is_different,
                hashtextextended(o.content, 0) as first_hash,
                hashtextextended(chat.text_of(n.content), 0) as second_hash
            from chat.chat_messages as o
            left join history.chat__chat_messages_v2 as n on o.id = n.id and o.created_at = n.created_at
        ),

        refused as (
            select
                coalesce(u.reason, '') as reason,
                count(*) as messages
            from chat.uncopied_messages() as u
            group by 1
        )

        select jsonb_build_object(
            'messages', (select count(*) from compared),
            'copied', (select count(*) from compared as c where c.is_copied),
            'waiting', coalesce((select r.messages from refused as r where r.reason = ''), 0),
            'refused', coalesce((
                select jsonb_object_agg(r.reason, r.messages) from refused as r where r.reason <> ''
            ), '{}'),
            'different', (select count(*) from compared as c where c.is_different),
            'orphans', (
                select count(*)
                from history.chat__chat_messages_v2 as n
                left join history.chat__chat_messages as o on n.id = o.id and n.created_at = o.created_at
                where o.id is null and chat.is_first_session(n.session_id)
                    and date_trunc('month', n.created_at at time zone 'UTC')::date not in (
                        select d.month from ops.departures as d
                        where d.table_name = 'chat.chat_messages' and d.removed_at is not null
                    )
            ),
            'checksums', (
                select jsonb_build_array(sum(c.first_hash)::text, sum(c.second_hash)::text)
                from compared as c where c.is_copied
            )
        )
        $sql$, (chat.pair_sql()).is_different
    ) into findings;
    return findings;
end
$function$;

comment on function chat.compare_generations() is
'How the first table compares with the second, in one snapshot: messages, copied, waiting, refused (by '
'reason), different, orphans (copies without a message), checksums of what is said in the pairs of both.';

create function chat.validate_migration() returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    found_now constant jsonb := chat.compare_generations();
begin
    perform chat.take_migration('parallel', 'gradual', 'done');
    update ops.chat_migration set findings = found_now, validated_at = clock_timestamp();
    return found_now;
end
$function$;

comment on function chat.validate_migration() is
'Compares the tables and keeps what it found.';

create function chat.mend_messages(batch int default 2000) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_mergejoin = off
set lock_timeout = '400ms'
as $function$
declare
    pair constant record := chat.pair_sql();
    mended bigint;
    orphans bigint;
begin
    perform chat.take_migration('parallel');
    perform set_config('agentbooks.is_chat_copy', 'on', true);
    execute format(
        'with different as materialized (select n.id, n.session_id, n.created_at from chat.chat_messages as o '
        'join chat.chat_messages_v2 as n on o.id = n.id and o.created_at = n.created_at '
        'where %1$s limit %2$s for share of o), '
        'dropped as (delete from chat.chat_messages_v2 as n using different as d where n.id = d.id '
        'and n.session_id = d.session_id and n.created_at = d.created_at '
        'and chat.is_first_session(n.session_id)), '
        'mended as (update chat.chat_messages_v2 as n set %3$s from different as d, chat.chat_messages as o '
        'where n.id = d.id and n.session_id = d.session_id and n.created_at = d.created_at and o.id = d.id '
        'and not chat.is_first_session(n.session_id)) '
        'select count(*) from different', pair.is_different, batch, pair.to_second
    ) into mended;
    delete from chat.chat_messages_v2 as n
    using (
        select m.id, m.session_id, m.created_at
        from chat.chat_messages_v2 as m
        left join history.chat__chat_messages as o on m.id = o.id and m.created_at = o.created_at
        where o.id is null and chat.is_first_session(m.session_id)
        limit batch
    ) as d
    where n.id = d.id and n.session_id = d.session_id and n.created_at = d.created_at;
    get diagnostics orphans = row_count;
    if mended + orphans > 0 then
        update ops.chat_migration set is_backfilled = false;
    end if;
    perform set_config('agentbooks.is_chat_copy', '', true);
    return mended + orphans;
end
$function$;

comment on function chat.mend_messages(int) is
'While the first table leads, deletes copies that say something else than their message, or have none, for '
'the backfill to make them anew, and has messages of sessions say what their copy says; returns how many.';

create function chat.switch_reads(share numeric) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    migration ops.chat_migration;
begin
    migration := chat.take_migration('parallel', 'gradual');
    if share > 0 and (
        not migration.is_backfilled or migration.closed_change_id is not null
        or (migration.findings @> '{"waiting": 0, "different": 0, "orphans": 0}') is not true
    ) then
        raise exception 'reads cannot be switched: the tables have not been found the same; run '
            'agentbooks migrate-chat backfill, then validate'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    update ops.chat_migration
    set phase = case when share > 0 then 'gradual' else 'parallel' end, read_share = share,
        changed_at = clock_timestamp();
end
$function$;

comment on function chat.switch_reads(numeric) is
'Has chat.messages read this share of the conversations from the second table, once both were found the '
'same; 0 goes back to parallel.';

create function chat.finish_migration(leave_refused boolean default false) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    migration ops.chat_migration;
begin
    migration := chat.take_migration('gradual', 'done');
    if migration.phase = 'done' then
        return;
    end if;
    if migration.read_share < 1 or migration.closed_change_id is not null then
        raise exception 'the first table cannot be closed: % of the conversations are read from it; run '
            'agentbooks migrate-chat switch 1', 1 - migration.read_share
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    if not migration.findings @> '{"waiting": 0, "different": 0, "orphans": 0}' then
        raise exception 'the first table cannot be closed: the tables are not the same; run '
            'agentbooks migrate-chat backfill, then validate'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    if migration.findings['refused'] <> '{}' and not leave_refused then
        raise exception 'the first table cannot be closed: it has messages that the second refuses; correct them, '
            'or leave them there with --leave-refused'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    -- What is edited or deleted in the second is so in the first, which takes nothing else.
    perform chat.set_followed('{}', '{update,delete}', true);
    update ops.chat_migration
    set phase = 'done', closed_change_id = pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        is_backfilled = false,
        changed_at = clock_timestamp();
end
$function$;

comment on function chat.finish_migration(boolean) is
'From gradual to done: the first table takes no more, and its rows leave by retention. A backfill copies '
'what came last.';

create function chat.reopen_first() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    perform chat.take_migration('done');
    perform chat.set_followed('{insert,update,delete}', '{insert,update,delete}', false);
    update ops.chat_migration set phase = 'gradual', is_backfilled = false, changed_at = clock_timestamp();
end
$function$;

comment on function chat.reopen_first() is
'From done back to gradual: the first table takes messages again; see chat.bring_back.';

create function chat.bring_back(batch int default 2000) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '400ms'
as $function$
declare
    migration ops.chat_migration;
    brought bigint;
begin
    migration := chat.take_migration('gradual');
    if migration.closed_change_id is null then
        return 0;
    end if;
    perform set_config('agentbooks.is_chat_copy', 'on', true);
    execute format(
        'insert into chat.chat_messages (id, channel_id, sender_user_id, sender_agent_id, content, metadata, '
        'created_at, tenant_id%1$s) select n.id, n.channel_id, n.sender_user_id, n.sender_agent_id, '
        'chat.text_of(n.content), nullif(n.metadata, ''{}''), n.created_at, n.tenant_id%1$s '
        'from chat.chat_messages_v2 as n where n.change_id >= %2$s '
        'and (n.channel_id is not null or chat.is_first_session(n.session_id)) '
        'and coalesce(n.sender_user_id, n.sender_agent_id) is not null '
        'and (select true from history.chat__chat_messages as o where o.id = n.id limit 1) is null '
        'limit %3$s for share skip locked on conflict do nothing', (chat.pair_sql()).embedding,
        migration.closed_change_id, batch
    );
    get diagnostics brought = row_count;
    if brought = 0 then
        update ops.chat_migration set closed_change_id = null;
    end if;
    perform set_config('agentbooks.is_chat_copy', '', true);
    return brought;
end
$function$;

comment on function chat.bring_back(int) is
'Copies into the first table what the second has got while that was closed; returns how many messages. '
'Call it until it returns 0.';

create function chat.leave_parallel() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    perform chat.take_migration('parallel');
    perform chat.set_followed('{}', '{}', false);
    update ops.chat_migration
    set phase = 'leaving', is_backfilled = false, findings = null, validated_at = null,
        changed_at = clock_timestamp();
end
$function$;

comment on function chat.leave_parallel() is
'From parallel on the way back to idle: the tables no longer follow each other; see chat.drop_copies.';

create function chat.drop_copies(batch int default 5000) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '400ms'
as $function$
declare
    statement text;
    dropped bigint := 0;
begin
    perform chat.take_migration('leaving');
    -- No model reads them.
    perform ops.set_lifecycle(true);
    foreach statement in array array[
        'delete from chat.chat_messages_v2 as n using (select session_id, id, created_at from chat.chat_messages_v2 '
        'where chat.is_first_session(session_id) limit %s) as d '
        'where n.session_id = d.session_id and n.id = d.id and n.created_at = d.created_at',
        'delete from archive.chat__chat_messages_v2 as n using (select session_id, id, created_at '
        'from archive.chat__chat_messages_v2 where chat.is_first_session(session_id) limit %s) as d '
        'where n.session_id = d.session_id and n.id = d.id and n.created_at = d.created_at',
        'delete from chat.conversation_sessions where id in (select id from chat.conversation_sessions '
        'where chat.is_first_session(id) limit %s)',
        'delete from archive.chat__conversation_sessions where id in (select id '
        'from archive.chat__conversation_sessions where chat.is_first_session(id) limit %s)'
    ] loop
        execute format(statement, batch);
        get diagnostics dropped = row_count;
        exit when dropped > 0;
    end loop;
    perform ops.set_lifecycle(false);
    if dropped = 0 then
        update ops.chat_migration set phase = 'idle', changed_at = clock_timestamp();
    end if;
    return dropped;
end
$function$;

comment on function chat.drop_copies(int) is
'Deletes copies of messages and their sessions; returns how many rows. Call it until it returns 0: the '
'migration is idle then.';

revoke all on function
    chat.copying_sql(text, boolean), chat.pair_sql(), chat.fetch_sessions(uuid[]), chat.follow_first(),
    chat.make_way(), chat.follow_second(), chat.refuse_first(), chat.migration_in(text[]),
    chat.take_migration(text[]), chat.set_followed(text[], text[], boolean), chat.start_migration(),
    chat.missing_months(), chat.make_month(date), chat.uncopied_messages(), chat.join_backfill(),
    chat.next_blocks(int), chat.in_blocks(int8range), chat.copy_blocks(int8range), chat.copy_waiting(int),
    chat.count_sessions(uuid, int), chat.compare_generations(), chat.validate_migration(),
    chat.mend_messages(int), chat.switch_reads(numeric), chat.finish_migration(boolean),
    chat.reopen_first(), chat.bring_back(int), chat.leave_parallel(), chat.drop_copies(int)
from public;
grant execute on function
    chat.start_migration(), chat.missing_months(), chat.make_month(date), chat.uncopied_messages(),
    chat.next_blocks(int), chat.copy_blocks(int8range), chat.copy_waiting(int),
    chat.count_sessions(uuid, int), chat.compare_generations(), chat.validate_migration(),
    chat.mend_messages(int), chat.switch_reads(numeric), chat.finish_migration(boolean),
    chat.reopen_first(), chat.bring_back(int), chat.leave_parallel(), chat.drop_copies(int)
to agentbooks_retention;

-- The new policy holds in the archive as well.
select ops.sync_archives();
