-- What agents did, for three years, so that nobody can change it unseen. Each row holds the hash of
-- the row before it in its session, so that a changed, added or removed row breaks the chain. The
-- right to erasure stands against that: the hash covers personal columns only through salted hashes
-- (commitments), so that a column and its salt can go while the chain stays whole.
--
-- What a chain cannot show: that somebody with the owner's rights has written it anew from a row on
-- to its end. Keep the heads somewhere else too, if that is to be found out.

set local role agentbooks_owner;

-- session_id and user_id are plain copies: a key with set null would change rows of the past.
create table agentic.agent_audit_log (
    audit_id uuid not null default gen_random_uuid(),
    agent_id uuid not null references agentic.agents on delete restrict,
    session_id uuid not null default '00000000-0000-0000-0000-000000000000',
    action_type varchar(50) not null check (action_type <> ''),
    action_details jsonb not null,
    risk_level varchar(20) check (risk_level in ('low', 'medium', 'high', 'critical')),
    user_id uuid,
    "timestamp" timestamptz not null default now(),
    ip_address inet,
    user_agent text,
    sequence bigint not null check (sequence >= 1),
    previous_hash bytea not null check (octet_length(previous_hash) = 32),
    row_hash bytea not null check (octet_length(row_hash) = 32),
    commitments jsonb not null check (jsonb_typeof(commitments) = 'object'),
    salts jsonb not null check (jsonb_typeof(salts) = 'object'),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (session_id, audit_id, "timestamp"),
    constraint agent_audit_log_action_details_shape check (
        jsonb_typeof(action_details) = 'object'
        and coalesce(jsonb_typeof(action_details -> 'status'), 'null') in ('string', 'null')
    ),
    constraint agent_audit_log_timestamp_readable check (
        "timestamp" >= timestamptz '2000-01-01 00:00:00+00'
        and "timestamp" < timestamptz '2100-01-01 00:00:00+00'
    )
) partition by range ("timestamp");

alter table agentic.agent_audit_log enable row level security;

create table agentic.agent_audit_log_default partition of agentic.agent_audit_log default;
alter table agentic.agent_audit_log_default enable row level security;
select ops.create_month_partitions(
    'agentic.agent_audit_log', current_date, (current_date + interval '3 months')::date
);

-- A redaction knows the entry alone.
create index agent_audit_log_audit_id on agentic.agent_audit_log (audit_id);
-- An agent's history; serves the foreign key to agents too.
create index agent_audit_log_agent_id_timestamp on agentic.agent_audit_log (agent_id, "timestamp");
-- What was risky, newest first.
create index agent_audit_log_risk_level_timestamp on agentic.agent_audit_log (risk_level, "timestamp");
-- One day out of a month, for the refresh.
create index agent_audit_log_timestamp on agentic.agent_audit_log ("timestamp");
-- What is kept about a person, to show it and to redact it.
create index agent_audit_log_user_id on agentic.agent_audit_log (user_id) where user_id is not null;
-- A session's chain in order.
create index agent_audit_log_session_id_sequence on agentic.agent_audit_log (session_id, sequence);
-- Finds what changed since the last refresh.
create index agent_audit_log_change_id on agentic.agent_audit_log
using brin (change_id) with (autosummarize = on);

create policy agent_audit_log_select_own on agentic.agent_audit_log
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

-- No role may update or delete. Old months leave by a detach.
grant select, insert on agentic.agent_audit_log to agentbooks_loader, service_role;
grant select on agentic.agent_audit_log to agentbooks_refresher, agentbooks_retention, authenticated;

comment on table agentic.agent_audit_log is
'One row per action of an agent that must be accounted for. Insert only: any change is refused '
'(AB405). A trigger sets session_id if null, and sequence, hashes, commitments and salts.';
comment on column agentic.agent_audit_log.audit_id is 'Unique within the session.';
comment on column agentic.agent_audit_log.agent_id is
'Agent that acted: the reason why no agent can be deleted.';
comment on column agentic.agent_audit_log.session_id is
'Session it acted in, perhaps gone by now; all zeros, which share one chain, for outside of any.';
comment on column agentic.agent_audit_log.action_type is
'What it did, in the writer''s words; audit_redaction is written by redact_audit_entry.';
comment on column agentic.agent_audit_log.action_details is
'An object, free in its keys but for status, a string: failed at risk critical is a critical error. '
'May hold personal data; empty once redacted, but for what redacted_details leaves.';
comment on column agentic.agent_audit_log.risk_level is 'Null when not assessed.';
comment on column agentic.agent_audit_log.user_id is
'User it acted for; null without one, or once redacted.';
comment on column agentic.agent_audit_log."timestamp" is 'When it acted; the partition key.';
comment on column agentic.agent_audit_log.ip_address is
'Where the request came from; null when not known, or once redacted.';
comment on column agentic.agent_audit_log.user_agent is
'Client of the request; null when not known, or once redacted.';
comment on column agentic.agent_audit_log.sequence is
'Place in the session''s chain, from 1 without gaps: the order of writing, not of timestamp.';
comment on column agentic.agent_audit_log.previous_hash is
'The row_hash of the place before; 32 zero bytes at the first.';
comment on column agentic.agent_audit_log.row_hash is
'Hash of all that is never redacted, the commitments and previous_hash included.';
comment on column agentic.agent_audit_log.commitments is
'An object: name of a redactable column with content → SHA-256 of its salt and content, in hex.';
comment on column agentic.agent_audit_log.salts is
'An object: name of a redactable column → its random salt. Redaction removes it: without it nobody '
'can find out by trying whether an address or a user was the one.';
comment on column agentic.agent_audit_log.tenant_id is 'Tenant whose agent acted.';
comment on column agentic.agent_audit_log.change_id is
'Transaction that wrote the row. A redaction keeps it, for no mart depends on what that takes.';

-- The end of each chain. Whoever adds a row locks its session here first, so that two writers never
-- take the same place; and a chain that was cut at its end is found out.
create table agentic.audit_chain_heads (
    session_id uuid not null primary key,
    sequence bigint not null check (sequence >= 1),
    row_hash bytea not null check (octet_length(row_hash) = 32),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
) with (fillfactor = 50);

-- No policy and no rights to write: only the trigger does.
alter table agentic.audit_chain_heads enable row level security;

grant select on agentic.audit_chain_heads to
    agentbooks_refresher, agentbooks_retention, service_role;

comment on table agentic.audit_chain_heads is
'One row per session with audit rows: the last of its chain. Written by the audit trigger alone.';
comment on column agentic.audit_chain_heads.session_id is 'Session of the chain.';
comment on column agentic.audit_chain_heads.sequence is 'Number of rows ever added to the chain.';
comment on column agentic.audit_chain_heads.row_hash is
'Hash of its last row; zero bytes within the transaction that adds the first.';
comment on column agentic.audit_chain_heads.tenant_id is 'Tenant that began the chain.';
comment on column agentic.audit_chain_heads.change_id is 'Transaction that began the chain.';

create function agentic.redacted_details(details jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
    select coalesce(jsonb_object_agg(d.key, d.value), '{}')
    from jsonb_each(details) as d
    where d.key = 'status' and d.value = '"failed"'
        or d.key = 'rollback_available' and jsonb_typeof(d.value) = 'boolean'
);

comment on function agentic.redacted_details(jsonb) is
'What an erasure leaves of the details of an action: whether it failed, and whether it could be undone. '
'Trust levels are computed from it, and it says nothing of a person.';

create function agentic.audit_commitments(entry agentic.agent_audit_log) returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
    select coalesce(
        jsonb_object_agg(
            c.column_name,
            encode(sha256(convert_to((entry.salts ->> c.column_name) || c.content, 'UTF8')), 'hex')
        ),
        '{}'
    )
    from (
        values
            -- What is left of redacted ones is not committed to.
            (
                'action_details',
                case
                    when entry.salts ? 'action_details'
                        or entry.action_details <> agentic.redacted_details(entry.action_details)
                        then nullif(entry.action_details, '{}')::text
                end
            ),
            ('ip_address', entry.ip_address::text),
            ('user_agent', entry.user_agent),
            ('user_id', entry.user_id::text)
    ) as c (column_name, content)
    where c.content is not null
);

comment on function agentic.audit_commitments(agentic.agent_audit_log) is
'The commitments that follow from an entry''s content and salts: none for a blank column, null for '
'one that has content but no salt any more.';

-- A JSON array is the simplest text in which no two entries look alike.
create function agentic.audit_row_hash(entry agentic.agent_audit_log) returns bytea
language sql
stable
set search_path = pg_catalog, pg_temp
return sha256(
    convert_to(
        jsonb_build_array(
            entry.tenant_id, entry.session_id, entry.sequence, entry.audit_id, entry.agent_id,
            entry.action_type, entry.risk_level, extract(epoch from entry."timestamp"),
            entry.commitments, encode(entry.previous_hash, 'hex')
        )::text,
        'UTF8'
    )
);

comment on function agentic.audit_row_hash(agentic.agent_audit_log) is
'The row_hash that follows from an entry''s other columns.';

create function agentic.chain_audit_entry() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    sent_before agentic.agent_audit_log;
begin
    new.session_id := coalesce(new.session_id, '00000000-0000-0000-0000-000000000000');

    -- Takes the lock, the place and the last hash in one statement.
    insert into agentic.audit_chain_heads as h (session_id, sequence, row_hash, tenant_id)
    values (new.session_id, 1, decode(repeat('00', 32), 'hex'), new.tenant_id)
    on conflict (session_id) do update set sequence = h.sequence + 1
    returning h.sequence, h.row_hash into new.sequence, new.previous_hash;

    -- A row that is sent again conflicts with itself, and the chain must not move on for it.
    select * into sent_before
    from agentic.agent_audit_log as l
    where l.session_id = new.session_id and l.audit_id = new.audit_id and l.timestamp = new.timestamp;
    if found then
        update agentic.audit_chain_heads set sequence = sequence - 1 where session_id = new.session_id;
        return sent_before;
    end if;

    -- Two random uuids hold more than any address or id that is guessed against a salt.
    select jsonb_object_agg(c.column_name, gen_random_uuid()::text || gen_random_uuid()::text)
    into new.salts
    from unnest(array['action_details', 'ip_address', 'user_agent', 'user_id']) as c (column_name);

    new.commitments := agentic.audit_commitments(new);
    new.row_hash := agentic.audit_row_hash(new);

    update agentic.audit_chain_heads
    set row_hash = new.row_hash
    where session_id = new.session_id;

    return new;
end
$function$;

comment on function agentic.chain_audit_entry() is
'Trigger: appends an audit row to the chain of its session, under a lock on that session''s head.';

-- Row level, so that partitions are closed too. The owner's two ways through are the bodies of
-- redact_audit_entry and of ops.create_month_partitions, which empties the default partition. Jobs
-- and applications become the owner only by calling these; an administrator is found out by the chain.
create function agentic.refuse_audit_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    redacted constant text[] := array['action_details', 'ip_address', 'user_agent', 'user_id', 'salts'];
begin
    if current_user = 'agentbooks_owner' and tg_level = 'ROW' then
        if tg_op = 'DELETE' and tg_table_name = 'agent_audit_log_default' then
            return old;
        end if;

        if tg_op = 'UPDATE'
            and to_jsonb(new) - redacted = to_jsonb(old) - redacted
            and new.action_details in (old.action_details, '{}', agentic.redacted_details(old.action_details))
            and (new.ip_address is not distinct from old.ip_address or new.ip_address is null)
            and (new.user_agent is not distinct from old.user_agent or new.user_agent is null)
            and (new.user_id is not distinct from old.user_id or new.user_id is null)
            and new.salts <@ old.salts then
            return new;
        end if;
    end if;

    raise exception '% on % refused: the audit log is insert only', lower(tg_op), tg_table_name
        using errcode = 'AB405', hint = 'To erase personal data call agentic.redact_audit_entry.';
end
$function$;

comment on function agentic.refuse_audit_change() is
'Trigger: refuses update, delete and truncate of audit rows (AB405), for every role.';

create function agentic.redact_audit_entry(
    p_session_id uuid,
    p_audit_id uuid,
    p_reason text,
    p_columns text[] default array['ip_address', 'user_agent', 'user_id']
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    entry agentic.agent_audit_log;
    hold_id bigint;
begin
    if coalesce(p_reason, '') = '' or coalesce(cardinality(p_columns), 0) = 0
        or array_position(p_columns, null) is not null
        or not p_columns <@ array['action_details', 'ip_address', 'user_agent', 'user_id'] then
        raise exception 'redact_audit_entry: needs a reason, and columns out of action_details, '
            'ip_address, user_agent and user_id'
            using errcode = 'invalid_parameter_value';
    end if;

    select * into entry
    from agentic.agent_audit_log as a
    where a.session_id = p_session_id and a.audit_id = p_audit_id
    for update;

    if not found or entry.action_type = 'audit_redaction' then
        raise exception 'redact_audit_entry: session % has no entry % that can be redacted',
            p_session_id, p_audit_id
            using errcode = 'no_data_found';
    end if;

    if not entry.salts ?| p_columns then
        return false;
    end if;

    for hold_id in
        select h.hold_id
        from ops.holds_on(
            'agentic.agent_audit_log', format('select * from agentic.agent_audit_log where audit_id = %L', p_audit_id)
        ) as h
    loop
        raise exception 'redact_audit_entry: legal hold % covers entry %', hold_id, p_audit_id
            using errcode = 'object_not_in_prerequisite_state';
    end loop;

    update agentic.agent_audit_log as a
    set action_details = case when 'action_details' = any (p_columns) then '{}' else a.action_details end,
        ip_address = case when 'ip_address' = any (p_columns) then null else a.ip_address end,
        user_agent = case when 'user_agent' = any (p_columns) then null else a.user_agent end,
        user_id = case when 'user_id' = any (p_columns) then null else a.user_id end,
        salts = a.salts - p_columns
    where a.session_id = p_session_id and a.audit_id = p_audit_id;

    insert into agentic.agent_audit_log (agent_id, session_id, action_type, action_details, tenant_id)
    values (
        entry.agent_id, p_session_id, 'audit_redaction',
        jsonb_build_object(
            'audit_id', p_audit_id, 'columns', p_columns, 'reason', p_reason, 'role', session_user
        ),
        entry.tenant_id
    );

    return true;
end
$function$;

comment on function agentic.redact_audit_entry(uuid, uuid, text, text[]) is
'Blanks personal columns of one audit entry, and records that in the same chain, which stays whole. '
'The reason is kept: name no person in it. False when they were blank already. Without '
'action_details by default, because trust levels are computed from its status.';

create function agentic.audit_first_broken_link(p_session_id uuid default null)
returns table (session_id uuid, sequence bigint, audit_id uuid, problem text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $function$
    with links as (
        select
            l.*,
            lag(l.sequence, 1, 0::bigint) over chain as sequence_before,
            lag(l.row_hash, 1, decode(repeat('00', 32), 'hex')) over chain as hash_before
        from (
            select a.session_id, a.sequence, a.audit_id, a.previous_hash, a.row_hash, a as entry
            from agentic.agent_audit_log as a
            where p_session_id is null or a.session_id = p_session_id
            union all
            -- Of an entry that has left the database its links stay.
            select d.session_id, d.sequence, null, d.previous_hash, d.row_hash, null
            from ops.departed_audit_links as d
            where p_session_id is null or d.session_id = p_session_id
        ) as l
        window chain as (partition by l.session_id order by l.sequence, l.audit_id)
    ),

    judged as (
        select
            session_id,
            sequence,
            audit_id,
            case
                when sequence > sequence_before + 1 then 'rows before it are missing'
                when sequence < sequence_before + 1 then 'its place is taken twice'
                when previous_hash <> hash_before then 'does not follow the row before it'
                when audit_id is null then null
                when (entry).row_hash <> agentic.audit_row_hash(entry) then 'was changed'
                when not (entry).commitments @> agentic.audit_commitments(entry)
                    or exists (
                        select from jsonb_object_keys((entry).commitments) as c (column_name)
                        where (entry).salts ? c.column_name
                            and not agentic.audit_commitments(entry) ? c.column_name
                    )
                    then 'its content was changed'
                when exists (
                    select from jsonb_object_keys((entry).commitments) as c (column_name)
                    where not (entry).salts ? c.column_name
                        and not exists (
                            select from agentic.agent_audit_log as r
                            where r.session_id = (entry).session_id
                                and r.sequence > (entry).sequence
                                and r.action_type = 'audit_redaction'
                                and r.action_details ->> 'audit_id' = (entry).audit_id::text
                                and r.action_details -> 'columns' ? c.column_name
                        )
                )
                    then 'was blanked without a record of it'
            end as problem
        from links
    ),

    cut as (
        select h.session_id, h.sequence, null::uuid as audit_id, 'rows at the end are missing' as problem
        from agentic.audit_chain_heads as h
        where (p_session_id is null or h.session_id = p_session_id)
            and not exists (
                select from agentic.agent_audit_log as a
                where a.session_id = h.session_id
                    and a.sequence = h.sequence
                    and a.row_hash = h.row_hash
            )
            and not exists (
                select from ops.departed_audit_links as d
                where d.session_id = h.session_id
                    and d.sequence = h.sequence
                    and d.row_hash = h.row_hash
            )
    )

    select distinct on (b.session_id) b.session_id, b.sequence, b.audit_id, b.problem
    from (
        select * from judged where problem is not null
        union all
        select * from cut
    ) as b
    order by b.session_id, b.sequence
$function$;

comment on function agentic.audit_first_broken_link(uuid) is
'Per session the first audit row at which its chain is broken, and how; no row when all is whole. '
'For one session, or for all when null. A row that came before a missing one is still good.';

revoke all on function agentic.redacted_details(jsonb) from public;
revoke all on function agentic.audit_commitments(agentic.agent_audit_log) from public;
revoke all on function agentic.audit_row_hash(agentic.agent_audit_log) from public;
revoke all on function agentic.chain_audit_entry() from public;
revoke all on function agentic.refuse_audit_change() from public;
revoke all on function agentic.redact_audit_entry(uuid, uuid, text, text[]) from public;
revoke all on function agentic.audit_first_broken_link(uuid) from public;

grant execute on function agentic.redacted_details(jsonb) to
    agentbooks_refresher, agentbooks_retention, service_role;
grant execute on function agentic.audit_commitments(agentic.agent_audit_log) to
    agentbooks_refresher, agentbooks_retention, service_role;
grant execute on function agentic.audit_row_hash(agentic.agent_audit_log) to
    agentbooks_refresher, agentbooks_retention, service_role;
grant execute on function agentic.audit_first_broken_link(uuid) to
    agentbooks_refresher, agentbooks_retention, service_role;
grant execute on function agentic.redact_audit_entry(uuid, uuid, text, text[]) to agentbooks_retention;
