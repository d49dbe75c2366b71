"""The tables of the source systems as their own definitions make them, defects included, as far as they run.

Each text runs in the schema that comes first in the search path. What does not run in the documents
is mended as little as can be; what runs and is wrong stays.
"""

from __future__ import annotations

TABLES = {
    "raaf": """
create table raaf_tracing_traces (
    trace_id varchar not null primary key,
    workflow_name varchar not null,
    status varchar not null default 'pending',
    started_at timestamp(6),
    ended_at timestamp(6),
    metadata jsonb default '{}',
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_raaf_tracing_traces_on_workflow_name on raaf_tracing_traces (workflow_name);
create index index_raaf_tracing_traces_on_status on raaf_tracing_traces (status);
create index index_raaf_tracing_traces_on_started_at on raaf_tracing_traces (started_at);
create index index_raaf_tracing_traces_on_metadata on raaf_tracing_traces using gin (metadata);

create table raaf_tracing_spans (
    span_id varchar not null primary key,
    trace_id varchar not null,
    parent_id varchar,
    name varchar not null,
    kind varchar not null default 'internal',
    status varchar not null default 'ok',
    start_time timestamp(6),
    end_time timestamp(6),
    duration_ms numeric(15, 3),
    span_attributes jsonb default '{}',
    events jsonb default '[]',
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    constraint fk_rails_raaf_spans foreign key (trace_id)
    references raaf_tracing_traces (trace_id) on delete cascade
);
create index index_raaf_tracing_spans_on_trace_id on raaf_tracing_spans (trace_id);
create index index_raaf_tracing_spans_on_parent_id on raaf_tracing_spans (parent_id);
create index index_raaf_tracing_spans_on_name on raaf_tracing_spans (name);
create index index_raaf_tracing_spans_on_kind on raaf_tracing_spans (kind);
create index index_raaf_tracing_spans_on_status on raaf_tracing_spans (status);
create index index_raaf_tracing_spans_on_start_time on raaf_tracing_spans (start_time);
create index index_raaf_tracing_spans_on_both on raaf_tracing_spans (trace_id, parent_id);
create index index_raaf_tracing_spans_on_attributes on raaf_tracing_spans using gin (span_attributes);
create index index_raaf_tracing_spans_on_events on raaf_tracing_spans using gin (events);

alter table raaf_tracing_spans
add column agent_name varchar(255),
add column prompt_data jsonb default '{}',
add column input_context jsonb default '{}',
add column output_context jsonb default '{}',
add column chat_messages jsonb default '[]',
add column execution_metadata jsonb default '{}';
create index index_raaf_tracing_spans_on_agent_name on raaf_tracing_spans (agent_name);
create index idx_raaf_tracing_spans_agent_name on raaf_tracing_spans (agent_name)
where agent_name is not null;
create index idx_raaf_tracing_spans_input_context on raaf_tracing_spans using gin (input_context);
create index idx_raaf_tracing_spans_output_context on raaf_tracing_spans using gin (output_context);
create index idx_raaf_tracing_spans_chat_messages on raaf_tracing_spans using gin (chat_messages);
alter table raaf_tracing_spans
add constraint check_agent_name_for_agent_spans
check (kind <> 'agent' or (kind = 'agent' and agent_name is not null and length(agent_name) > 0)),
add constraint check_valid_prompt_data
check (prompt_data is null or jsonb_typeof(prompt_data) = 'object');
""",
    "observability": """
create table profiles (
    id uuid primary key default gen_random_uuid(),
    email text unique not null,
    name text,
    role text not null default 'user' check (role in ('admin', 'user', 'viewer')),
    avatar_url text,
    created_at timestamp default now(),
    updated_at timestamp default now(),
    settings jsonb default '{}'
);
create index idx_profiles_settings on profiles using gin (settings);
create function touch_profile() returns trigger language plpgsql as
$$ begin new.updated_at := now(); return new; end $$;
create trigger update_profiles_updated_at before update on profiles
for each row execute function touch_profile();

create table workflows (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references profiles (id) on delete cascade,
    name text not null,
    description text,
    nodes jsonb not null,
    edges jsonb not null,
    tags text[],
    is_template boolean default false,
    is_deployed boolean default false,
    deployed_at timestamp,
    created_at timestamp default now(),
    updated_at timestamp default now()
);

create table traces (
    trace_id uuid primary key default gen_random_uuid(),
    workflow_id varchar(255) not null,
    execution_id varchar(255) unique not null,
    user_id uuid references profiles (id) on delete set null,
    query text,
    started_at timestamp not null default now(),
    completed_at timestamp,
    total_duration_ms integer default 0,
    status varchar(50) not null default 'running',
    error text,
    total_cost decimal(10, 6) default 0.0,
    total_tokens jsonb default '{}',
    metadata jsonb default '{}',
    constraint valid_status check (status in ('running', 'completed', 'failed', 'cancelled'))
);
create index idx_traces_workflow_id on traces (workflow_id);
create index idx_traces_execution_id on traces (execution_id);
create index idx_traces_user_id on traces (user_id);
create index idx_traces_started_at on traces (started_at desc);
create index idx_traces_status on traces (status);
create index idx_traces_workflow_started on traces (workflow_id, started_at desc);
create index idx_traces_metadata_gin on traces using gin (metadata);
create index idx_traces_total_tokens_gin on traces using gin (total_tokens);

create table spans (
    span_id uuid primary key default gen_random_uuid(),
    trace_id uuid not null references traces (trace_id) on delete cascade,
    parent_span_id uuid references spans (span_id) on delete set null,
    span_type varchar(50) not null,
    name varchar(255) not null,
    status varchar(50) not null default 'pending',
    started_at timestamp,
    completed_at timestamp,
    duration_ms integer default 0,
    inputs jsonb default '{}',
    outputs jsonb default '{}',
    tokens jsonb default '{}',
    cost decimal(10, 6) default 0.0,
    model varchar(255),
    provider varchar(100),
    error text,
    error_type varchar(100),
    error_stack text,
    api_limits jsonb default '{}',
    retry_count integer default 0,
    timeout integer,
    evaluation jsonb default '{}',
    metadata jsonb default '{}',
    child_spans text[] default '{}',
    constraint valid_span_status
    check (status in ('pending', 'running', 'completed', 'failed', 'cancelled'))
);
create index idx_spans_trace_id on spans (trace_id);
create index idx_spans_parent_span_id on spans (parent_span_id);
create index idx_spans_span_type on spans (span_type);
create index idx_spans_status on spans (status);
create index idx_spans_started_at on spans (started_at);
create index idx_spans_trace_started on spans (trace_id, started_at);
create index idx_spans_tokens_gin on spans using gin (tokens);
create index idx_spans_metadata_gin on spans using gin (metadata);

alter table traces enable row level security;
alter table spans enable row level security;
create policy "Users can view their own traces" on traces for select
using (user_id = nullif(current_setting('app.user_id', true), '')::uuid or user_id is null);
create policy "Users can insert their own traces" on traces for insert
with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid or user_id is null);
create policy "Users can view spans from their own traces" on spans for select
using (exists (select 1 from traces where traces.trace_id = spans.trace_id));

create table cost_records (
    id uuid primary key default gen_random_uuid(),
    execution_id text not null,
    workflow_id uuid references workflows (id) on delete set null,
    user_id uuid references profiles (id) on delete set null,
    node_id text not null,
    node_type text not null,
    cost numeric(10, 6) not null default 0,
    tokens_used jsonb,
    duration_ms integer default 0,
    provider text,
    model text,
    category text not null
    check (category in ('llm', 'embedding', 'rerank', 'vector_search', 'other')),
    config jsonb,
    metadata jsonb,
    created_at timestamp not null
);
create table cost_aggregations (
    id uuid primary key default gen_random_uuid(),
    workflow_id uuid references workflows (id) on delete set null,
    user_id uuid references profiles (id) on delete set null,
    period_type text not null check (period_type in ('daily', 'weekly', 'monthly')),
    period_start timestamp not null,
    period_end timestamp not null,
    total_cost numeric(10, 6),
    total_executions integer,
    total_tokens jsonb,
    cost_by_category jsonb,
    cost_by_provider jsonb,
    cost_by_model jsonb,
    metadata jsonb,
    created_at timestamp default now(),
    updated_at timestamp default now(),
    unique (workflow_id, user_id, period_type, period_start)
);
create table usage_logs (
    id uuid primary key default gen_random_uuid(),
    api_key_id uuid,
    user_id uuid,
    workflow_id uuid,
    execution_id text,
    cost numeric(10, 6) not null,
    duration_ms integer not null,
    status text not null,
    created_at timestamp not null default now()
);
create function cleanup_old_traces(days_to_keep integer) returns integer language plpgsql as $$
begin
    delete from traces where status = 'completed'
        and started_at < now() - (days_to_keep || ' days')::interval;
    return 0;
end $$;
""",
    "traceability": """
create table success_patterns (
    id uuid primary key default gen_random_uuid(),
    pattern_hash text unique not null,
    source_trace_id uuid,
    prompt_text text,
    {prompt_embedding}
    intent_classification text,
    keywords text[] not null,
    domain text,
    agent_sequence text[] not null,
    routing_strategy text,
    hook_sequence jsonb,
    endpoint_pattern jsonb,
    success_count integer not null default 0,
    failure_count integer not null default 0,
    total_usage_count integer not null default 0,
    success_rate numeric(5, 4),
    confidence_score numeric(5, 4),
    avg_duration_ms integer,
    min_duration_ms integer,
    max_duration_ms integer,
    avg_hook_count numeric,
    avg_endpoint_count numeric,
    avg_rag_query_count numeric,
    initial_success_score numeric(5, 4),
    context jsonb,
    tags text[],
    is_active boolean default true,
    last_used_at timestamptz,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table execution_traces (
    id uuid primary key default gen_random_uuid(),
    correlation_id uuid not null unique,
    root_id uuid not null,
    parent_id uuid,
    session_id uuid not null,
    user_id text,
    source text not null,
    prompt_text text,
    started_at timestamptz not null default now(),
    completed_at timestamptz,
    duration_ms integer,
    status text not null default 'in_progress',
    success boolean,
    error_message text,
    error_type text,
    context jsonb,
    tags text[],
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index idx_traces_started on execution_traces (started_at desc);
create index idx_traces_status on execution_traces (status);
create table pattern_usage_log (
    id uuid primary key default gen_random_uuid(),
    pattern_id uuid not null references success_patterns (id),
    trace_id uuid references execution_traces (id),
    used_at timestamptz not null default now(),
    match_score numeric(5, 4),
    was_applied boolean,
    outcome text,
    success boolean,
    deviations jsonb,
    expected_duration_ms integer,
    actual_duration_ms integer,
    performance_variance double precision,
    user_feedback text,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table agent_routing_decisions (
    id uuid primary key default gen_random_uuid(),
    trace_id uuid not null references execution_traces (id),
    agent_selected text not null,
    confidence_score numeric(5, 4) not null,
    confidence_trigger numeric(5, 4),
    confidence_context numeric(5, 4),
    confidence_capability numeric(5, 4),
    confidence_historical numeric(5, 4),
    routing_strategy text not null,
    pattern_id uuid references success_patterns (id),
    cache_hit boolean default false,
    selection_reason text,
    query_text text,
    {query_embedding}
    alternatives jsonb,
    decision_duration_ms integer,
    execution_started_at timestamptz,
    execution_completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table hook_executions (
    id uuid primary key default gen_random_uuid(),
    trace_id uuid not null references execution_traces (id),
    hook_type text not null,
    hook_name text not null,
    execution_order integer not null,
    tool_name text,
    file_path text,
    started_at timestamptz not null,
    completed_at timestamptz,
    duration_ms integer,
    status text not null default 'in_progress',
    input_data jsonb,
    output_data jsonb,
    modifications_made jsonb,
    rag_query_performed boolean default false,
    rag_results jsonb,
    quality_check_performed boolean default false,
    quality_results jsonb,
    error_message text,
    error_type text,
    error_stack text,
    metadata jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table endpoint_calls (
    id uuid primary key default gen_random_uuid(),
    trace_id uuid not null references execution_traces (id),
    hook_execution_id uuid references hook_executions (id),
    service text not null,
    endpoint_url text not null,
    method text not null,
    request_body jsonb,
    response_body jsonb,
    headers jsonb,
    context jsonb,
    status_code integer,
    started_at timestamptz,
    completed_at timestamptz,
    duration_ms integer,
    success boolean not null,
    error_message text,
    error_type text,
    retry_count integer default 0,
    rag_query text,
    quality_score numeric(5, 4),
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table agent_chaining_patterns (
    id uuid primary key default gen_random_uuid(),
    chain_pattern text[] not null unique,
    occurrence_count integer,
    avg_success_rate numeric(5, 4),
    avg_total_duration_ms integer,
    avg_coordination_overhead_ms integer,
    common_triggers text[],
    example_trace_ids uuid[],
    tags text[],
    last_used_at timestamptz,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table error_patterns (
    id uuid primary key default gen_random_uuid(),
    error_type text not null,
    error_category text,
    error_message_pattern text not null,
    severity text,
    error_count integer,
    first_occurrence_at timestamptz,
    last_occurrence_at timestamptz,
    affected_agents text[],
    hook_type text,
    endpoint_url text,
    example_trace_ids uuid[],
    resolution_pattern jsonb,
    resolution_success_rate numeric(5, 4),
    prevention_strategies jsonb,
    tags text[],
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create function set_updated_at() returns trigger language plpgsql as
$$ begin new.updated_at := now(); return new; end $$;
create trigger trg_success_patterns_updated_at before update on success_patterns
for each row execute function set_updated_at();
create trigger trg_execution_traces_updated_at before update on execution_traces
for each row execute function set_updated_at();
create view dashboard_summary as
select count(*) as total_traces, count(*) filter (where status = 'completed') as completed_traces
from execution_traces;
""",
    "agentic": """
create table users (
    user_id uuid primary key default gen_random_uuid(),
    email text unique not null,
    full_name text,
    is_active boolean not null default true,
    created_at timestamptz not null default now()
);
create table agents (
    agent_id uuid primary key default gen_random_uuid(),
    name varchar(100) not null,
    persona_type varchar(50) not null,
    capabilities jsonb not null,
    config jsonb,
    created_at timestamptz default current_timestamp,
    updated_at timestamptz default current_timestamp,
    is_active boolean default true
);
create table agent_sessions (
    session_id uuid primary key default gen_random_uuid(),
    agent_id uuid references agents (agent_id),
    user_id uuid references users (user_id),
    trust_level integer default 0 check (trust_level >= 0 and trust_level <= 4),
    context jsonb,
    started_at timestamptz default current_timestamp,
    ended_at timestamptz,
    session_state varchar(20) default 'active',
    metadata jsonb
);
create table agent_decisions (
    decision_id uuid primary key default gen_random_uuid(),
    session_id uuid references agent_sessions (session_id),
    decision_type varchar(50) not null,
    input_context jsonb not null,
    decision_rationale text,
    action_taken jsonb not null,
    confidence_score decimal(3, 2) check (confidence_score >= 0 and confidence_score <= 1),
    user_feedback varchar(20),
    created_at timestamptz default current_timestamp,
    execution_time_ms integer
);
create table trust_metrics (
    metric_id uuid primary key default gen_random_uuid(),
    session_id uuid references agent_sessions (session_id),
    metric_type varchar(50) not null,
    metric_value decimal(5, 2) not null,
    measurement_context jsonb,
    recorded_at timestamptz default current_timestamp
);
create table agent_knowledge (
    knowledge_id uuid primary key default gen_random_uuid(),
    agent_id uuid references agents (agent_id),
    knowledge_type varchar(50) not null,
    domain varchar(100) not null,
    content jsonb not null,
    {embedding}
    usage_count integer default 0,
    success_rate decimal(3, 2),
    created_at timestamptz default current_timestamp,
    last_used_at timestamptz
);
create table conversation_history (
    message_id uuid primary key default gen_random_uuid(),
    session_id uuid references agent_sessions (session_id),
    role varchar(20) not null,
    content text not null,
    message_type varchar(30),
    parent_message_id uuid references conversation_history (message_id),
    created_at timestamptz default current_timestamp,
    tokens_used integer,
    model_used varchar(50)
);
create table agent_audit_log (
    audit_id uuid primary key default gen_random_uuid(),
    agent_id uuid references agents (agent_id),
    session_id uuid references agent_sessions (session_id),
    action_type varchar(50) not null,
    action_details jsonb not null,
    risk_level varchar(20),
    user_id uuid references users (user_id),
    timestamp timestamptz default current_timestamp,
    ip_address inet,
    user_agent text
);
""",
    "chat": """
create table users (
    id uuid primary key,
    username text unique,
    full_name text,
    email text unique,
    avatar_url text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table agents (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references users (id),
    name text not null,
    description text not null,
    system_instructions text,
    assistant_instructions text,
    personality text,
    avatar_url text,
    active boolean default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table workspaces (
    id uuid primary key default gen_random_uuid(),
    name text not null check (length(name) > 0),
    owner_user_id uuid not null references users (id),
    created_at timestamptz not null default now(),
    context_window_size integer not null default 20,
    context_window_token_limit integer not null default 8000
);
create table workspace_members (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references workspaces (id),
    agent_id uuid references agents (id),
    team_id uuid,
    user_id uuid references users (id),
    role text default 'member',
    added_by_user_id uuid,
    created_at timestamptz not null default now()
);
create table chat_channels (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references workspaces (id),
    name text not null check (length(name) > 0),
    topic text,
    created_at timestamptz not null default now(),
    last_message_at timestamptz
);
create table datastores (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references users (id),
    name text not null,
    description text not null,
    type text not null check (type in ('pinecone', 'getzep')),
    config jsonb not null,
    similarity_metric text default 'cosine' check (similarity_metric in ('cosine', 'euclidean', 'dot')),
    similarity_threshold double precision default 0.7,
    max_results integer default 5 check (max_results > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table agent_datastores (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null references agents (id) on delete cascade,
    datastore_id uuid not null references datastores (id) on delete cascade,
    created_at timestamptz not null default now(),
    unique (agent_id, datastore_id)
);
create table chat_messages (
    id uuid primary key default gen_random_uuid(),
    channel_id uuid references chat_channels (id),
    sender_agent_id uuid references agents (id),
    sender_user_id uuid references users (id),
    content text not null check (length(content) > 0),
    created_at timestamptz not null default now(),
    {embedding}
    metadata jsonb,
    check (sender_agent_id is not null or sender_user_id is not null)
);
create table conversation_sessions (
    id uuid primary key default gen_random_uuid(),
    conversation_id uuid not null,
    user_id uuid references users (id),
    agent_id uuid references agents (id),
    started_at timestamptz default now(),
    ended_at timestamptz,
    last_active timestamptz default now(),
    message_count integer default 0,
    total_tokens_used integer default 0,
    tool_calls_count integer default 0,
    session_state jsonb default '{}',
    interruption_context jsonb,
    status varchar(20) default 'active'
    check (status in ('active', 'paused', 'completed', 'abandoned'))
);
create table chat_messages_v2 (
    id uuid primary key default gen_random_uuid(),
    version varchar(10) not null default '1.0.0',
    conversation_id uuid not null,
    session_id uuid not null,
    parent_message_id uuid references chat_messages_v2 (id),
    channel_id uuid references chat_channels (id),
    sender_user_id uuid references users (id),
    sender_agent_id uuid references agents (id),
    role varchar(20) not null check (role in ('system', 'user', 'assistant', 'tool')),
    content jsonb not null,
    metadata jsonb default '{}',
    context jsonb default '{}',
    tools jsonb,
    memory_refs uuid[],
    state_snapshot_id uuid,
    audit jsonb,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    constraint check_content_structure check (
        content ? 'type'
        and content ->> 'type' in ('text', 'structured', 'multimodal', 'tool_result')
    )
);
create index idx_messages_conversation on chat_messages_v2 (conversation_id, created_at);
create index idx_messages_session on chat_messages_v2 (session_id);
create index idx_messages_channel on chat_messages_v2 (channel_id);
create index idx_messages_content_gin on chat_messages_v2 using gin (content);
create index idx_messages_metadata_gin on chat_messages_v2 using gin (metadata);
create table message_versions (
    id uuid primary key default gen_random_uuid(),
    message_id uuid not null references chat_messages_v2 (id) on delete cascade,
    version_number integer not null,
    content jsonb not null,
    metadata jsonb,
    changed_by uuid references users (id),
    change_reason text,
    created_at timestamptz default now(),
    unique (message_id, version_number)
);
create table agent_memories (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null references agents (id) on delete cascade,
    memory_type varchar(20) not null
    check (memory_type in ('episodic', 'semantic', 'procedural', 'working')),
    content jsonb not null,
    {embeddings}
    importance float default 0.5 check (importance >= 0 and importance <= 1),
    decay_rate float default 0.1,
    access_count integer default 0,
    related_memories uuid[],
    source_message_id uuid references chat_messages_v2 (id),
    last_accessed timestamptz default now(),
    created_at timestamptz default now(),
    expires_at timestamptz,
    constraint check_memory_content check (
        case memory_type
            when 'episodic' then content ? 'event' and content ? 'temporal'
            when 'semantic' then content ? 'concept' and content ? 'definition'
            when 'procedural' then content ? 'skill' and content ? 'steps'
            when 'working' then content ? 'items' and content ? 'capacity'
            else false
        end
    )
);
create index idx_memories_agent_type on agent_memories (agent_id, memory_type);
create index idx_memories_importance on agent_memories (importance desc);
create index idx_memories_content_gin on agent_memories using gin (content);
create table memory_consolidations (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null references agents (id),
    source_memories uuid[] not null,
    consolidated_memory_id uuid references agent_memories (id),
    consolidation_type varchar(20) check (consolidation_type in ('merge', 'summarize', 'abstract')),
    tokens_saved integer,
    created_at timestamptz default now()
);
create table agent_states (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null references agents (id),
    version varchar(10) not null,
    local_state jsonb not null default '{}',
    shared_state jsonb default '{}',
    session_state jsonb default '{}',
    persistent_state jsonb not null default '{}',
    state_hash varchar(64) not null,
    modification_count integer default 0,
    valid_from timestamptz default now(),
    valid_until timestamptz,
    is_current boolean default true,
    created_at timestamptz default now(),
    last_modified timestamptz default now()
);
create unique index unique_current_state on agent_states (agent_id) where is_current;
create index idx_states_agent_current on agent_states (agent_id) where is_current = true;
create index idx_states_valid_range on agent_states (valid_from, valid_until);
create table state_checkpoints (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null references agents (id),
    state_id uuid not null references agent_states (id),
    checkpoint_type varchar(20)
    check (checkpoint_type in ('manual', 'automatic', 'error_recovery', 'milestone')),
    trigger_reason text,
    state_data jsonb not null,
    compression_type varchar(10),
    size_bytes integer,
    restoration_time_ms integer,
    restoration_count integer default 0,
    retention_policy varchar(20) check (retention_policy in ('temporary', 'permanent', 'archive')),
    expires_at timestamptz,
    created_at timestamptz default now()
);
create table state_transitions (
    id uuid primary key default gen_random_uuid(),
    agent_id uuid not null references agents (id),
    from_state_id uuid references agent_states (id),
    to_state_id uuid not null references agent_states (id),
    transition_type varchar(20) check (transition_type in ('update', 'merge', 'reset', 'restore')),
    trigger varchar(50),
    changes jsonb not null,
    rollback_available boolean default true,
    rollback_data jsonb,
    created_at timestamptz default now()
);
create table context_snapshots (
    id uuid primary key default gen_random_uuid(),
    message_id uuid references chat_messages_v2 (id),
    agent_id uuid references agents (id),
    snapshot_data jsonb not null,
    total_tokens integer,
    compression_ratio float,
    segment_count integer,
    build_time_ms integer,
    optimization_count integer,
    created_at timestamptz default now()
);
""",
}

EMBEDDINGS = ("embedding", "embeddings", "prompt_embedding", "query_embedding")


def tables(system: str, *, has_vector: bool) -> str:
    """The definitions of a system, with its embeddings where the server has such a type."""
    text = TABLES[system]
    for name in EMBEDDINGS:
        text = text.replace(f"{{{name}}}", f"{name} vector(1536)," if has_vector else "")
    return text
