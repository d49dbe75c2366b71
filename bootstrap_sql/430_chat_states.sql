-- The state that an agent carries from turn to turn: one row per version, one of them current. That
-- no two versions overlap would be an exclusion constraint with btree_gist; not every server here has
-- that extension. So the open row is unique, a check ties "current" to "open", set_agent_state() lets
-- each row begin where the last one ends, and a data test looks at rows written past it.

set local role agentbooks_owner;

create table chat.agent_states (
    id uuid not null default gen_random_uuid() primary key,
    agent_id uuid not null references chat.agents on delete cascade,
    version text not null check (version ~ '^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$'),
    local_state jsonb not null default '{}' check (jsonb_typeof(local_state) = 'object'),
    shared_state jsonb default '{}' check (jsonb_typeof(shared_state) = 'object'),
    session_state jsonb default '{}' check (jsonb_typeof(session_state) = 'object'),
    persistent_state jsonb not null default '{}' check (jsonb_typeof(persistent_state) = 'object'),
    state_hash varchar(64) not null check (state_hash <> ''),
    modification_count integer not null default 0 check (modification_count >= 0),
    valid_from timestamptz not null default now() check (isfinite(valid_from)),
    valid_until timestamptz check (isfinite(valid_until)),
    is_current boolean not null default true,
    created_at timestamptz not null default now(),
    last_modified timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint agent_states_of_agent unique (agent_id, id),
    constraint agent_states_end_not_before_start check (valid_until >= valid_from),
    constraint agent_states_current_is_open check (is_current = (valid_until is null))
);

alter table chat.agent_states enable row level security;

-- One current state per agent, and the way to find it.
create unique index unique_current_state on chat.agent_states (agent_id) where is_current;
-- The state of an agent at a moment.
create index idx_states_valid_range on chat.agent_states (agent_id, valid_from, valid_until);

grant select, insert, update on chat.agent_states to agentbooks_loader;
grant select on chat.agent_states to agentbooks_refresher, authenticated;
grant select, delete on chat.agent_states to agentbooks_retention;
grant select, insert, update, delete on chat.agent_states to service_role;

comment on table chat.agent_states is
'One row per version of an agent''s state. Write with chat.set_agent_state().';
comment on column chat.agent_states.id is 'The version of the state.';
comment on column chat.agent_states.agent_id is 'Agent whose state it is.';
comment on column chat.agent_states.version is
'Version as the application counts, such as 1.4.0; not unique.';
comment on column chat.agent_states.local_state is 'An object: what concerns the agent alone.';
comment on column chat.agent_states.shared_state is
'An object: what other agents may see; null and {} both mean nothing.';
comment on column chat.agent_states.session_state is
'An object: what ends with the session; null and {} both mean nothing.';
comment on column chat.agent_states.persistent_state is 'An object: what outlives sessions.';
comment on column chat.agent_states.state_hash is 'Hash of the state by the application; not checked.';
comment on column chat.agent_states.modification_count is 'Changes of the row since it was made.';
comment on column chat.agent_states.valid_from is 'From when it held.';
comment on column chat.agent_states.valid_until is 'Until when, exclusive; null for the current one.';
comment on column chat.agent_states.is_current is 'True for one row per agent at most.';
comment on column chat.agent_states.created_at is 'When the row was written.';
comment on column chat.agent_states.last_modified is 'When the row was last changed.';
comment on column chat.agent_states.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.agent_states.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


create table chat.state_checkpoints (
    id uuid not null default gen_random_uuid() primary key,
    agent_id uuid not null references chat.agents on delete cascade,
    state_id uuid not null,
    checkpoint_type varchar(20) not null
    check (checkpoint_type in ('manual', 'automatic', 'error_recovery', 'milestone')),
    trigger_reason text,
    state_data jsonb not null check (jsonb_typeof(state_data) in ('object', 'string')),
    compression_type varchar(10) check (compression_type in ('none', 'gzip', 'zstd')),
    size_bytes integer check (size_bytes >= 0),
    restoration_time_ms integer check (restoration_time_ms >= 0),
    restoration_count integer not null default 0 check (restoration_count >= 0),
    retention_policy varchar(20) check (retention_policy in ('temporary', 'permanent', 'archive')),
    expires_at timestamptz check (isfinite(expires_at)),
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint state_checkpoints_state_of_agent foreign key (agent_id, state_id)
    references chat.agent_states (agent_id, id) on delete cascade,
    constraint state_checkpoints_temporary_expires
    check (retention_policy <> 'temporary' or expires_at is not null),
    constraint state_checkpoints_permanent_stays
    check (retention_policy <> 'permanent' or expires_at is null),
    constraint state_checkpoints_expiry_not_before_creation check (expires_at >= created_at)
);

alter table chat.state_checkpoints enable row level security;

-- Checkpoints of a state; the keys to states and agents.
create index idx_checkpoints_state on chat.state_checkpoints (agent_id, state_id);
-- Checkpoints that are to go.
create index idx_checkpoints_expires
on chat.state_checkpoints (expires_at) where expires_at is not null;

grant select, insert, update on chat.state_checkpoints to agentbooks_loader;
grant select on chat.state_checkpoints to agentbooks_refresher, authenticated;
grant select, delete on chat.state_checkpoints to agentbooks_retention;
grant select, insert, update, delete on chat.state_checkpoints to service_role;

comment on table chat.state_checkpoints is 'One row per copy of a state to return to.';
comment on column chat.state_checkpoints.id is 'The checkpoint.';
comment on column chat.state_checkpoints.agent_id is 'Agent whose state it is.';
comment on column chat.state_checkpoints.state_id is
'State that was copied, of the same agent. Deleting the state deletes the copy.';
comment on column chat.state_checkpoints.checkpoint_type is 'What caused it.';
comment on column chat.state_checkpoints.trigger_reason is 'In words; null if none were given.';
comment on column chat.state_checkpoints.state_data is
'The copy: an object, or a string where it is compressed.';
comment on column chat.state_checkpoints.compression_type is 'Null: not said, so not compressed.';
comment on column chat.state_checkpoints.size_bytes is 'Bytes as stored; null if not measured.';
comment on column chat.state_checkpoints.restoration_time_ms is
'Milliseconds of the last return to it; null before the first.';
comment on column chat.state_checkpoints.restoration_count is 'Times it was returned to.';
comment on column chat.state_checkpoints.retention_policy is
'temporary needs an expires_at, permanent forbids it; null: not decided.';
comment on column chat.state_checkpoints.expires_at is 'When it may go; null: never by itself.';
comment on column chat.state_checkpoints.created_at is 'When it was made.';
comment on column chat.state_checkpoints.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.state_checkpoints.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


create table chat.state_transitions (
    id uuid not null default gen_random_uuid() primary key,
    agent_id uuid not null references chat.agents on delete cascade,
    from_state_id uuid,
    to_state_id uuid not null,
    transition_type varchar(20) not null
    check (transition_type in ('update', 'merge', 'reset', 'restore')),
    trigger varchar(50)
    check (trigger in ('user_message', 'tool_result', 'timer', 'manual', 'error')),
    changes jsonb not null check (jsonb_typeof(changes) in ('object', 'array')),
    rollback_available boolean not null default true,
    rollback_data jsonb,
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint state_transitions_to_state_of_agent foreign key (agent_id, to_state_id)
    references chat.agent_states (agent_id, id) on delete cascade,
    constraint state_transitions_moves
    check (from_state_id <> to_state_id or transition_type = 'reset')
);

alter table chat.state_transitions enable row level security;

-- An agent's transitions in order; the key to agents.
create index idx_transitions_agent on chat.state_transitions (agent_id, created_at);
-- How a state came about; the key to it.
create index idx_transitions_to_state on chat.state_transitions (agent_id, to_state_id);
-- What became of a state; the key to it.
create index idx_transitions_from_state
on chat.state_transitions (agent_id, from_state_id) where from_state_id is not null;

grant select, insert, update on chat.state_transitions to agentbooks_loader;
grant select on chat.state_transitions to agentbooks_refresher, authenticated;
grant select, delete on chat.state_transitions to agentbooks_retention;
grant select, insert, update, delete on chat.state_transitions to service_role;

comment on table chat.state_transitions is 'One row per step from one state of an agent to the next.';
comment on column chat.state_transitions.id is 'The transition.';
comment on column chat.state_transitions.agent_id is 'Agent whose states they are.';
comment on column chat.state_transitions.from_state_id is
'State before, of the same agent; null for the first one, or if it was deleted.';
comment on column chat.state_transitions.to_state_id is
'State after, of the same agent; the same as before only in a reset.';
comment on column chat.state_transitions.transition_type is 'How the new state was made.';
comment on column chat.state_transitions.trigger is 'What caused it; null if not recorded.';
comment on column chat.state_transitions.changes is
'What differs, as the application writes it: an object, or an array of steps.';
comment on column chat.state_transitions.rollback_available is 'False: the step cannot be undone.';
comment on column chat.state_transitions.rollback_data is
'What undoing it needs, any JSON value; null if nothing.';
comment on column chat.state_transitions.created_at is 'When the step was taken.';
comment on column chat.state_transitions.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.state_transitions.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- The agent's row is the lock: it is there before its first state is. Two callers take turns, and
-- each closes what it finds then. The clock is read after the wait, as now() may lie before the other
-- caller's time.
create function chat.set_agent_state(
    p_agent_id uuid,
    p_version text,
    p_state_hash text,
    p_local_state jsonb default '{}',
    p_shared_state jsonb default '{}',
    p_session_state jsonb default '{}',
    p_persistent_state jsonb default '{}',
    p_transition_type text default 'update',
    p_trigger text default null,
    p_changes jsonb default '{}',
    p_rollback_data jsonb default null,
    p_expected_state_id uuid default null
)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    owner_tenant_id text;
    old_state_id uuid;
    old_valid_from timestamptz;
    new_state_id uuid;
    changed_at timestamptz;
begin
    select a.tenant_id
    into owner_tenant_id
    from chat.agents as a
    where a.id = p_agent_id
    for no key update;

    if not found then
        raise exception 'set_agent_state: there is no agent %', p_agent_id
            using errcode = 'no_data_found';
    end if;

    select s.id, s.valid_from
    into old_state_id, old_valid_from
    from chat.agent_states as s
    where s.agent_id = p_agent_id and s.is_current;

    if p_expected_state_id is not null and old_state_id is distinct from p_expected_state_id then
        raise exception 'set_agent_state: the current state of agent % is %, not %',
            p_agent_id, old_state_id, p_expected_state_id
            using errcode = 'AB409', hint = 'Somebody else has set it: read it again, then retry.';
    end if;

    changed_at := greatest(clock_timestamp(), old_valid_from);

    update chat.agent_states as s
    set is_current = false, valid_until = changed_at
    where s.id = old_state_id;

    insert into chat.agent_states (
        agent_id, version, local_state, shared_state, session_state, persistent_state, state_hash,
        valid_from, tenant_id
    )
    values (
        p_agent_id, p_version, p_local_state, p_shared_state, p_session_state, p_persistent_state,
        p_state_hash, changed_at, owner_tenant_id
    )
    returning id into new_state_id;

    insert into chat.state_transitions (
        agent_id, from_state_id, to_state_id, transition_type, trigger, changes, rollback_available,
        rollback_data, created_at, tenant_id
    )
    values (
        p_agent_id, old_state_id, new_state_id, p_transition_type, p_trigger, p_changes,
        old_state_id is not null, p_rollback_data, changed_at, owner_tenant_id
    );

    return new_state_id;
end
$function$;

comment on function chat.set_agent_state(
    uuid, text, text, jsonb, jsonb, jsonb, jsonb, text, text, jsonb, jsonb, uuid
) is
'Ends the current state of an agent, makes the given one current, records the transition, and returns '
'the new state''s id. Safe under concurrent callers; with p_expected_state_id it refuses (AB409) '
'unless that is still the current state, so that no caller overwrites what it has not read.';

revoke all on function chat.set_agent_state(
    uuid, text, text, jsonb, jsonb, jsonb, jsonb, text, text, jsonb, jsonb, uuid
) from public;
grant execute on function chat.set_agent_state(
    uuid, text, text, jsonb, jsonb, jsonb, jsonb, text, text, jsonb, jsonb, uuid
) to agentbooks_loader, service_role;
