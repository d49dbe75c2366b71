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


-- A copy of the current state, under the agent's lock: nobody sets another one meanwhile.
create function chat.make_checkpoint(
    p_agent_id uuid,
    p_checkpoint_type text default 'manual',
    p_trigger_reason text default null,
    p_retention_policy text default null,
    p_expires_at timestamptz default null,
    p_expected_state_id uuid default null
)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    current_state chat.agent_states;
    state_copy jsonb;
    checkpoint_id uuid;
begin
    perform from chat.agents as a where a.id = p_agent_id for no key update;
    if not found then
        raise exception 'make_checkpoint: there is no agent %', p_agent_id using errcode = 'no_data_found';
    end if;

    select * into current_state from chat.agent_states as s where s.agent_id = p_agent_id and s.is_current;
    if current_state.id is null then
        raise exception 'make_checkpoint: agent % has no current state', p_agent_id
            using errcode = 'no_data_found';
    end if;
    if p_expected_state_id is not null and current_state.id <> p_expected_state_id then
        raise exception 'make_checkpoint: the current state of agent % is %, not %',
            p_agent_id, current_state.id, p_expected_state_id
            using errcode = 'AB409', hint = 'Somebody else has set it: read it again, then retry.';
    end if;

    state_copy := jsonb_build_object(
        'version', current_state.version,
        'state_hash', current_state.state_hash,
        'local_state', current_state.local_state,
        'shared_state', current_state.shared_state,
        'session_state', current_state.session_state,
        'persistent_state', current_state.persistent_state
    );
    insert into chat.state_checkpoints (
        agent_id, state_id, checkpoint_type, trigger_reason, state_data, compression_type, size_bytes,
        retention_policy, expires_at, created_at, tenant_id
    )
    values (
        p_agent_id, current_state.id, p_checkpoint_type, p_trigger_reason, state_copy, 'none',
        octet_length(state_copy::text), p_retention_policy, p_expires_at, clock_timestamp(),
        current_state.tenant_id
    )
    returning id into checkpoint_id;
    return checkpoint_id;
end
$function$;

comment on function chat.make_checkpoint(uuid, text, text, text, timestamptz, uuid) is
'Copies the current state of an agent to a checkpoint and returns its id. With p_expected_state_id it '
'refuses (AB409) unless that is still the current state.';

create function chat.restore_checkpoint(
    p_agent_id uuid,
    p_checkpoint_id uuid,
    p_trigger text default 'manual',
    p_reason text default null,
    p_expected_state_id uuid default null
)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    began_at constant timestamptz := clock_timestamp();
    checkpoint chat.state_checkpoints;
    copied_state chat.agent_states;
    copied_parts jsonb;
    state_copy jsonb;
    state_hash text;
    new_state_id uuid;
begin
    perform from chat.agents as a where a.id = p_agent_id for no key update;
    if not found then
        raise exception 'restore_checkpoint: there is no agent %', p_agent_id using errcode = 'no_data_found';
    end if;

    -- After the wait for the agent: it may have gone, or expired, meanwhile.
    select * into checkpoint from chat.state_checkpoints as c where c.id = p_checkpoint_id for update;
    if not found then
        raise exception 'restore_checkpoint: there is no checkpoint %', p_checkpoint_id
            using
            errcode = 'no_data_found',
            hint = 'If it is archived, bring it back first: agentbooks restore chat.state_checkpoints.';
    end if;
    if checkpoint.agent_id <> p_agent_id then
        raise exception 'restore_checkpoint: checkpoint % is of another agent than %', p_checkpoint_id, p_agent_id
            using errcode = 'invalid_parameter_value';
    end if;
    if checkpoint.expires_at <= clock_timestamp() then
        raise exception 'restore_checkpoint: checkpoint % expired at %', p_checkpoint_id, checkpoint.expires_at
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    state_copy := checkpoint.state_data;
    if jsonb_typeof(state_copy) = 'string' or checkpoint.compression_type <> 'none' then
        raise exception 'restore_checkpoint: checkpoint % is compressed (%), which the database cannot read',
            p_checkpoint_id, coalesce(nullif(checkpoint.compression_type, 'none'), 'unknown')
            using
            errcode = 'feature_not_supported',
            hint = 'Decompress it, and call chat.set_agent_state with p_transition_type => ''restore''.';
    end if;
    if not state_copy ?| '{local_state,shared_state,session_state,persistent_state}' then
        raise exception 'restore_checkpoint: checkpoint % has none of the four parts of a state', p_checkpoint_id
            using errcode = 'invalid_parameter_value';
    end if;

    -- Of a copy that an application made, what it does not say is what the state said.
    select * into copied_state
    from chat.agent_states as s
    where s.agent_id = checkpoint.agent_id and s.id = checkpoint.state_id;
    copied_parts := jsonb_build_object(
        'version', copied_state.version,
        'local_state', copied_state.local_state,
        'shared_state', copied_state.shared_state,
        'session_state', copied_state.session_state,
        'persistent_state', copied_state.persistent_state
    );
    state_copy := copied_parts || state_copy;
    state_hash := coalesce(
        state_copy ->> 'state_hash',
        case when copied_parts = (
            select jsonb_object_agg(p.key, p.value)
            from jsonb_each(state_copy) as p
            where copied_parts ? p.key
        ) then copied_state.state_hash end
    );
    if state_hash is null then
        raise exception 'restore_checkpoint: checkpoint % has no state_hash, and state % has changed since',
            p_checkpoint_id, checkpoint.state_id
            using
            errcode = 'invalid_parameter_value',
            hint = 'Call chat.set_agent_state with its parts, your hash of them and p_transition_type => ''restore''.';
    end if;

    new_state_id := chat.set_agent_state(
        p_agent_id, state_copy ->> 'version', state_hash, state_copy -> 'local_state',
        nullif(state_copy -> 'shared_state', 'null'), nullif(state_copy -> 'session_state', 'null'),
        state_copy -> 'persistent_state', 'restore', p_trigger,
        jsonb_strip_nulls(jsonb_build_object('checkpoint_id', p_checkpoint_id, 'reason', p_reason)),
        null, p_expected_state_id
    );
    update chat.state_checkpoints as c
    set
        restoration_count = c.restoration_count + 1,
        restoration_time_ms = ceil(1000 * extract(epoch from clock_timestamp() - began_at))
    where c.id = p_checkpoint_id;
    return new_state_id;
end
$function$;

comment on function chat.restore_checkpoint(uuid, uuid, text, text, uuid) is
'Makes what a checkpoint holds the current state of its agent, as a new version with the copied '
'state''s version and hash, and returns its id. Refuses a checkpoint that has expired, is compressed, or is '
'another agent''s; with p_expected_state_id also (AB409) if another state is current by now.';

revoke all on function chat.make_checkpoint(uuid, text, text, text, timestamptz, uuid) from public;
revoke all on function chat.restore_checkpoint(uuid, uuid, text, text, uuid) from public;
grant execute on function chat.make_checkpoint(uuid, text, text, text, timestamptz, uuid)
to agentbooks_loader, service_role;
grant execute on function chat.restore_checkpoint(uuid, uuid, text, text, uuid)
to agentbooks_loader, service_role;
