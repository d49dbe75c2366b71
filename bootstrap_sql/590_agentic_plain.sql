-- What only a single PostgreSQL can do: triggers, a key that sets null, policies that look at another
-- table. On Citus this file is left out: there, users see of their sessions' rows the audit log alone,
-- and writers do for themselves what the triggers do here.

set local role agentbooks_owner;

alter table agentic.agent_sessions
add constraint agent_sessions_user_id_fkey
foreign key (user_id) references agentic.users on delete set null;

-- The sessions' own policy decides which of them the caller sees. Scalar subqueries: "in" would read
-- all of the caller's sessions, maybe thousands, for each query.
create policy agent_decisions_select_own on agentic.agent_decisions
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and (
        select true from agentic.agent_sessions as s
        where s.session_id = agent_decisions.session_id
    )
);

create policy trust_metrics_select_own on agentic.trust_metrics
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and (
        select true from agentic.agent_sessions as s
        where s.session_id = trust_metrics.session_id
    )
);

create policy conversation_history_select_own on agentic.conversation_history
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and (
        select true from agentic.agent_sessions as s
        where s.session_id = conversation_history.session_id
    )
);

-- The change stamp of the refresh.
create trigger users_updated before update on agentic.users
for each row execute function ops.stamp_change();

create trigger agents_updated before update on agentic.agents
for each row execute function ops.stamp_change_and_update();

create trigger agent_sessions_updated before update on agentic.agent_sessions
for each row execute function ops.stamp_change();

create trigger agent_decisions_updated before update on agentic.agent_decisions
for each row execute function ops.stamp_change();

create trigger trust_metrics_updated before update on agentic.trust_metrics
for each row execute function ops.stamp_change();

create trigger conversation_history_updated before update on agentic.conversation_history
for each row execute function ops.stamp_change();

create trigger agent_knowledge_updated before update on agentic.agent_knowledge
for each row execute function ops.stamp_change();

-- Two writers who have read the same version cannot both write: the second finds it raised.
create function agentic.require_next_version() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    if new.version <> old.version + 1 then
        raise exception '% %: version % expected, % given',
            tg_table_name, to_jsonb(old) ->> tg_argv[0], old.version + 1, new.version
            using errcode = 'AB409', hint = 'Somebody else has written it: read it again, then retry.';
    end if;
    return new;
end
$function$;

comment on function agentic.require_next_version() is
'Trigger: refuses an update that does not raise version by one (AB409). Its argument names the key.';

create trigger agents_version before update on agentic.agents
for each row execute function agentic.require_next_version('agent_id');

-- At depth 0 only: the key that takes an erased user out of a session has read no version.
create trigger agent_sessions_version before update on agentic.agent_sessions
for each row when (pg_trigger_depth() = 0)
execute function agentic.require_next_version('session_id');

-- Some writers close a session by its state alone: without a time, nothing could be too late for it.
create function agentic.set_session_end() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    new.ended_at := greatest(clock_timestamp(), new.started_at);
    return new;
end
$function$;

comment on function agentic.set_session_end() is
'Trigger: ends a session now, where its writer has closed it and given no time.';

create trigger agent_sessions_closed before update on agentic.agent_sessions
for each row when (
    old.session_state in ('active', 'paused')
    and new.session_state in ('completed', 'terminated')
    and new.ended_at is null
)
execute function agentic.set_session_end();

-- By the row's own time, so that history can be loaded after its session has ended. Once per
-- statement: a row trigger would take a bulk load beyond twice the time of a bare table. The lookup
-- is a scalar subquery: as a join, a plan cached by a bulk load would later read all sessions for a
-- single row. It takes no lock: a row on its way while the session ends is let in.
create function agentic.refuse_after_session_end() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    late record;
begin
    select i.session_id, i.created_at into late
    from inserted as i
    where (
        select s.ended_at < i.created_at
        from agentic.agent_sessions as s
        where s.session_id = i.session_id
    )
    limit 1;

    if found then
        raise exception '%: session % has ended before %', tg_table_name, late.session_id, late.created_at
            using errcode = 'AB410', hint = 'Begin a new session.';
    end if;
    return null;
end
$function$;

comment on function agentic.refuse_after_session_end() is
'Trigger: refuses rows that are later than the end of their session (AB410).';

create trigger agent_decisions_session_open after insert on agentic.agent_decisions
referencing new table as inserted
for each statement execute function agentic.refuse_after_session_end();

create trigger conversation_history_session_open after insert on agentic.conversation_history
referencing new table as inserted
for each statement execute function agentic.refuse_after_session_end();

-- The audit log: each row into its chain, and no way back.
create trigger agent_audit_log_chain before insert on agentic.agent_audit_log
for each row execute function agentic.chain_audit_entry();

create trigger agent_audit_log_keep_rows before update or delete on agentic.agent_audit_log
for each row execute function agentic.refuse_audit_change();

create trigger agent_audit_log_keep before delete or truncate on agentic.agent_audit_log
for each statement execute function agentic.refuse_audit_change();

revoke all on function agentic.require_next_version() from public;
revoke all on function agentic.set_session_end() from public;
revoke all on function agentic.refuse_after_session_end() from public;
