-- What PostgreSQL does and Citus cannot: keys that set null, policies that look at another table,
-- triggers, and locks on rows of a distributed table. A cluster skips this file: there, users see
-- sessions, own agents and templates alone, and writers and data tests do the rest.

set local role agentbooks_owner;

alter table chat.workspace_members
add constraint workspace_members_added_by_user_id_fkey
foreign key (added_by_user_id) references chat.users on delete set null;

alter table chat.chat_messages_v2
add constraint chat_messages_v2_channel_id_fkey
foreign key (channel_id) references chat.chat_channels on delete set null;

alter table chat.chat_messages_v2
add constraint chat_messages_v2_state_snapshot_id_fkey
foreign key (state_snapshot_id) references chat.agent_states on delete set null;

alter table chat.message_versions
add constraint message_versions_changed_by_fkey
foreign key (changed_by) references chat.users on delete set null;

alter table chat.memory_consolidations
add constraint memory_consolidations_consolidated_memory_id_fkey
foreign key (consolidated_memory_id) references chat.agent_memories on delete set null;

alter table chat.state_transitions
add constraint state_transitions_from_state_of_agent
foreign key (agent_id, from_state_id) references chat.agent_states (agent_id, id)
on delete set null (from_state_id);


-- A subquery of a policy stands under the policies of the table that it reads: it finds the caller's
-- own sessions, agents, workspaces and channels alone. Agents, workspaces and channels are few and read
-- once per query. Of sessions a user may have thousands: a scalar subquery looks up the message's own.

create policy workspaces_own_or_joined on chat.workspaces
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and (
        owner_user_id = (select ops.caller_user_uuid())
        or id in (select m.workspace_id from chat.workspace_members as m)
    )
);

create policy chat_channels_of_workspaces on chat.chat_channels
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and workspace_id in (select w.id from chat.workspaces as w)
);

create policy agent_datastores_of_agents on chat.agent_datastores
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and agent_id in (select a.id from chat.agents as a)
);

create policy chat_messages_read on chat.chat_messages
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and channel_id in (select c.id from chat.chat_channels as c)
);

create policy chat_messages_write on chat.chat_messages
for insert to authenticated
with check (
    tenant_id = (select ops.caller_tenant_id())
    and channel_id in (select c.id from chat.chat_channels as c)
    and sender_user_id = (select ops.caller_user_uuid())
    and sender_agent_id is null
);

create policy chat_messages_v2_read on chat.chat_messages_v2
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and (
        select true from chat.conversation_sessions as s
        where s.id = chat_messages_v2.session_id
    )
);

-- Nobody speaks for an agent or another user, nor for the system, nor where they are no member.
create policy chat_messages_v2_write on chat.chat_messages_v2
for insert to authenticated
with check (
    tenant_id = (select ops.caller_tenant_id())
    and (
        select true from chat.conversation_sessions as s
        where s.id = chat_messages_v2.session_id
    )
    and (channel_id is null or channel_id in (select c.id from chat.chat_channels as c))
    and role = 'user'
    and sender_user_id = (select ops.caller_user_uuid())
);

create policy chat_messages_v2_edit on chat.chat_messages_v2
for update to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and role = 'user'
    and sender_user_id = (select ops.caller_user_uuid())
)
with check (
    tenant_id = (select ops.caller_tenant_id())
    and role = 'user'
    and sender_user_id = (select ops.caller_user_uuid())
);

create policy message_versions_read on chat.message_versions
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and (
        select true from chat.conversation_sessions as s
        where s.id = message_versions.session_id
    )
);

create policy agent_memories_of_agents on chat.agent_memories
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and agent_id in (select a.id from chat.agents as a)
);

create policy memory_consolidations_of_agents on chat.memory_consolidations
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and agent_id in (select a.id from chat.agents as a)
);

create policy agent_states_of_agents on chat.agent_states
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and agent_id in (select a.id from chat.agents as a)
);

create policy state_checkpoints_of_agents on chat.state_checkpoints
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and agent_id in (select a.id from chat.agents as a)
);

create policy state_transitions_of_agents on chat.state_transitions
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and agent_id in (select a.id from chat.agents as a)
);

create policy context_snapshots_of_agents on chat.context_snapshots
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and agent_id in (select a.id from chat.agents as a)
);


-- The change stamp of the refresh, with the time where the table has a column for it.
create trigger users_updated before update on chat.users
for each row execute function ops.stamp_change_and_update();

create trigger agents_updated before update on chat.agents
for each row execute function ops.stamp_change_and_update();

create trigger workspaces_updated before update on chat.workspaces
for each row execute function ops.stamp_change();

create trigger workspace_members_updated before update on chat.workspace_members
for each row execute function ops.stamp_change();

create trigger chat_channels_updated before update on chat.chat_channels
for each row execute function ops.stamp_change();

create trigger datastores_updated before update on chat.datastores
for each row execute function ops.stamp_change_and_update();

create trigger agent_datastores_updated before update on chat.agent_datastores
for each row execute function ops.stamp_change();

create trigger conversation_sessions_updated before update on chat.conversation_sessions
for each row execute function ops.stamp_change();

create trigger chat_messages_updated before update on chat.chat_messages
for each row execute function ops.stamp_change();

create trigger chat_messages_v2_updated before update on chat.chat_messages_v2
for each row execute function ops.stamp_change_and_update();

create trigger message_versions_updated before update on chat.message_versions
for each row execute function ops.stamp_change();

create trigger agent_memories_updated before update on chat.agent_memories
for each row execute function ops.stamp_change();

create trigger memory_consolidations_updated before update on chat.memory_consolidations
for each row execute function ops.stamp_change();

create trigger agent_states_updated before update on chat.agent_states
for each row execute function ops.stamp_change();

create trigger state_checkpoints_updated before update on chat.state_checkpoints
for each row execute function ops.stamp_change();

create trigger state_transitions_updated before update on chat.state_transitions
for each row execute function ops.stamp_change();

create trigger context_snapshots_updated before update on chat.context_snapshots
for each row execute function ops.stamp_change();

create trigger context_templates_updated before update on chat.context_templates
for each row execute function ops.stamp_change_and_update();


-- By the message's own time, so that history can be loaded after its session has ended. Takes no
-- lock: a message on its way while the session is being ended is let in. Once per statement: asked for
-- each row, it takes a quarter of a bulk load. The lookup is a scalar subquery: as a join, a plan
-- cached by a bulk load would later read all sessions for a single row.
create function chat.refuse_after_session_end() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    late record;
begin
    select n.session_id, n.created_at
    into late
    from new_messages as n
    where (
        select s.status in ('completed', 'abandoned')
            and (s.ended_at < n.created_at or s.ended_at is null)
        from chat.conversation_sessions as s
        where s.id = n.session_id
    )
    limit 1;

    if found then
        raise exception 'chat_messages_v2: session % has ended before %',
            late.session_id, late.created_at
            using errcode = 'AB410', hint = 'Begin a new session.';
    end if;

    return null;
end
$function$;

comment on function chat.refuse_after_session_end() is
'Trigger: refuses a message that is later than the end of its session (AB410), or any when that end '
'is unknown.';

-- Not of copies from the first generation: their sessions have ended for everybody else.
create trigger chat_messages_v2_session_open after insert on chat.chat_messages_v2
referencing new table as new_messages
for each statement
when (
    current_user <> 'agentbooks_owner'
    or current_setting('agentbooks.is_chat_copy', true) is distinct from 'on'
)
execute function chat.refuse_after_session_end();


-- Before the update: an edit that moves a message to another month deletes and inserts it, and
-- triggers after an update do not see that. The editor need have no right on versions.
create function chat.keep_message_version() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    latest chat.message_versions;
begin
    -- What retention blanks is no edit, and must not be kept.
    if current_setting('agentbooks.is_lifecycle', true) = 'on' and ops.is_lifecycle() then
        return new;
    end if;

    select *
    into latest
    from history.chat__message_versions as v
    where v.session_id = old.session_id and v.message_id = old.id
    order by v.version_number desc
    limit 1;

    -- Some writers have kept it themselves.
    if latest.content = old.content and latest.metadata is not distinct from old.metadata then
        return new;
    end if;

    insert into chat.message_versions (
        session_id, message_id, version_number, content, metadata, changed_by, change_reason,
        tenant_id
    )
    values (
        old.session_id,
        old.id,
        coalesce(latest.version_number, 0) + 1,
        old.content,
        old.metadata,
        (select u.id from chat.users as u where u.id = ops.caller_user_uuid()),
        nullif(current_setting('app.change_reason', true), ''),
        old.tenant_id
    );

    return new;
end
$function$;

comment on function chat.keep_message_version() is
'Trigger: keeps what a message said before an edit as its next version.';

create trigger chat_messages_v2_version before update on chat.chat_messages_v2
for each row
when (old.content is distinct from new.content or old.metadata is distinct from new.metadata)
execute function chat.keep_message_version();


-- The place of a key: versions do not outlive their message.
create function chat.drop_message_versions() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    delete from chat.message_versions as v
    using deleted_messages as d
    where v.session_id = d.session_id and v.message_id = d.id;

    delete from archive.chat__message_versions as v
    using deleted_messages as d
    where v.session_id = d.session_id and v.message_id = d.id;

    return null;
end
$function$;

comment on function chat.drop_message_versions() is
'Trigger: deletes the versions of deleted messages. A detached partition does not fire it.';

create trigger chat_messages_v2_deleted after delete on chat.chat_messages_v2
referencing old table as deleted_messages
for each statement execute function chat.drop_message_versions();


-- The source's writers know the message alone, and keep its versions themselves. Where one does so
-- after the edit, which has kept it too, the writer's row takes its place: it says who and why.
create function chat.fill_version_session() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    kept_metadata jsonb;
    current_metadata jsonb;
begin
    select m.session_id, m.metadata
    into new.session_id, current_metadata
    from chat.chat_messages_v2 as m
    where m.id = new.message_id;

    delete from chat.message_versions as v
    where v.session_id = new.session_id
        and v.message_id = new.message_id
        and v.version_number = new.version_number
        and v.content = new.content
    returning v.metadata into kept_metadata;

    new.metadata := coalesce(new.metadata, kept_metadata, current_metadata);
    return new;
end
$function$;

comment on function chat.fill_version_session() is
'Trigger: takes the session of a version, and metadata that were not given, from its message, and '
'the place of the same version if the edit has kept it.';

create trigger message_versions_session before insert on chat.message_versions
for each row when (new.session_id is null)
execute function chat.fill_version_session();


-- The source's writers say only that a state is no longer current.
create function chat.close_agent_state() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    new.last_modified := clock_timestamp();

    if old.is_current and not new.is_current and new.valid_until is null then
        -- Where the next state of the same transaction begins by default.
        new.valid_until := greatest(now(), new.valid_from);
    end if;

    return new;
end
$function$;

comment on function chat.close_agent_state() is
'Trigger: stamps last_modified, and ends a state that is no longer current.';

create trigger agent_states_closed before update on chat.agent_states
for each row execute function chat.close_agent_state();


-- Counting when asked, not on each message: an update of the session for every message costs as
-- much as the message. Whoever writes calls it once a turn, a loader once a load; it counts anew, so
-- that it may be called twice, and by two. The lock comes first, in a statement of its own: the count
-- that follows it sees what the caller before has committed.
create function chat.record_message_counts(variadic session_ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    perform
    from chat.conversation_sessions as s
    where s.id = any(session_ids)
    order by s.id
    for no key update;

    with counted as (
        select
            s.id,
            count(m.id) as messages,
            count(m.id) filter (where m.role = 'tool') as tool_calls,
            coalesce(sum(
                case jsonb_typeof(m.metadata -> 'tokens')
                    when 'number' then (m.metadata ->> 'tokens')::numeric
                    when 'object' then coalesce(
                        (m.metadata #>> '{tokens,total}')::numeric,
                        coalesce((m.metadata #>> '{tokens,prompt}')::numeric, 0)
                        + coalesce((m.metadata #>> '{tokens,completion}')::numeric, 0)
                    )
                end
            ), 0) as tokens,
            greatest(s.last_active, max(m.created_at)) as last_active
        from chat.conversation_sessions as s
        left join chat.chat_messages_v2 as m on m.session_id = s.id
        where s.id = any(session_ids)
        group by s.id
    )
    update chat.conversation_sessions as s
    set message_count = c.messages,
        tool_calls_count = c.tool_calls,
        total_tokens_used = c.tokens,
        last_active = c.last_active
    from counted as c
    where s.id = c.id
        and (s.message_count, s.tool_calls_count, s.total_tokens_used, s.last_active)
        is distinct from (c.messages, c.tool_calls, c.tokens, c.last_active);
end
$function$;

comment on function chat.record_message_counts(uuid[]) is
'Counts messages, tokens and tool calls of sessions anew and writes them into the sessions, with the '
'time of the latest message. Changes nothing where nothing has changed.';

revoke all on function chat.refuse_after_session_end() from public;
revoke all on function chat.keep_message_version() from public;
revoke all on function chat.drop_message_versions() from public;
revoke all on function chat.fill_version_session() from public;
revoke all on function chat.close_agent_state() from public;
revoke all on function chat.record_message_counts(uuid[]) from public;
grant execute on function chat.record_message_counts(uuid[]) to agentbooks_loader, service_role;
