-- Schema traceability: which agent did what for which prompt, and what was learned from it. First
-- what was learned, which depends on nothing.

set local role agentbooks_owner;

create schema traceability;
comment on schema traceability is
'Execution traces of coding agents, and patterns of success and error learned from them.';

grant usage on schema traceability to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;


-- A pattern is a sequence of agents, or of tools, that once led to success.
create table traceability.success_patterns (
    id uuid not null default gen_random_uuid() primary key,
    pattern_hash text not null check (pattern_hash <> ''),
    source_trace_id uuid,
    prompt_text text,
    intent_classification text check (
        intent_classification in (
            'code_generation', 'debugging', 'refactoring', 'documentation', 'testing'
        )
    ),
    keywords text[] not null default '{}',
    domain text,
    agent_sequence text[] not null default '{}',
    tool_sequence text[],
    routing_strategy text,
    hook_sequence jsonb check (jsonb_typeof(hook_sequence) = 'array'),
    endpoint_pattern jsonb check (jsonb_typeof(endpoint_pattern) = 'array'),
    success_count integer not null default 0 check (success_count >= 0),
    failure_count integer not null default 0 check (failure_count >= 0),
    total_usage_count integer not null generated always as (success_count + failure_count) stored,
    success_rate numeric(5, 4) generated always as (
        success_count::numeric / nullif(success_count + failure_count, 0)
    ) stored,
    confidence_score numeric(5, 4) check (confidence_score between 0 and 1),
    avg_duration_ms numeric check (avg_duration_ms >= 0 and avg_duration_ms < 'infinity'),
    min_duration_ms integer check (min_duration_ms >= 0),
    max_duration_ms integer check (max_duration_ms >= min_duration_ms),
    avg_hook_count numeric check (avg_hook_count >= 0 and avg_hook_count < 'infinity'),
    avg_endpoint_count numeric check (avg_endpoint_count >= 0 and avg_endpoint_count < 'infinity'),
    avg_rag_query_count numeric check (
        avg_rag_query_count >= 0 and avg_rag_query_count < 'infinity'
    ),
    initial_success_score numeric(5, 4) check (initial_success_score between 0 and 1),
    context jsonb check (jsonb_typeof(context) = 'object'),
    tags text[],
    is_active boolean not null default true,
    last_used_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    unique (tenant_id, pattern_hash),
    constraint success_patterns_has_a_step check (
        cardinality(agent_sequence) >= 1 or coalesce(cardinality(tool_sequence), 0) >= 1
    ),
    constraint success_patterns_steps_named check (
        array_position(agent_sequence, null) is null and array_position(tool_sequence, null) is null
    )
);

alter table traceability.success_patterns enable row level security;

-- Patterns with any of some keywords.
create index idx_pattern_keywords on traceability.success_patterns using gin (keywords);
-- Patterns with any of some tags.
create index idx_pattern_tags on traceability.success_patterns using gin (tags);
-- Patterns that an agent is part of.
create index idx_pattern_agent_sequence on traceability.success_patterns using gin (agent_sequence);
-- Patterns that a tool is part of.
create index idx_pattern_tool_sequence on traceability.success_patterns using gin (tool_sequence);
-- Patterns of an intent.
create index idx_pattern_intent on traceability.success_patterns (intent_classification);
-- Patterns of a domain.
create index idx_pattern_domain on traceability.success_patterns (domain);
-- The best patterns: many share the rate 1, and the most used of them come first; unused ones have
-- no rate and come last.
create index idx_pattern_success_rate on traceability.success_patterns
(success_rate desc nulls last, total_usage_count desc);
-- The most used patterns.
create index idx_pattern_usage_count on traceability.success_patterns (total_usage_count desc);
-- The latest used patterns, and retention.
create index idx_pattern_last_used on traceability.success_patterns (last_used_at desc nulls last);
-- The pattern learned from a trace.
create index idx_pattern_source_trace on traceability.success_patterns (source_trace_id);

create policy success_patterns_service on traceability.success_patterns
for all to service_role using (true) with check (true);

create policy success_patterns_read on traceability.success_patterns
for select to authenticated using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on traceability.success_patterns to agentbooks_loader;
grant select on traceability.success_patterns to agentbooks_refresher, authenticated;
grant select, delete on traceability.success_patterns to agentbooks_retention;
grant select, insert, update, delete on traceability.success_patterns to service_role;

comment on table traceability.success_patterns is
'One row per learned pattern. Its users see all patterns of their tenant.';
comment on column traceability.success_patterns.id is 'The pattern; the usage log names it.';
comment on column traceability.success_patterns.pattern_hash is
'The writer''s fingerprint of the pattern, unique in the tenant.';
comment on column traceability.success_patterns.source_trace_id is
'Trace it was learned from; null if none. No key: patterns outlive traces.';
comment on column traceability.success_patterns.prompt_text is
'Prompt it was learned from; null if not kept. Personal data.';
comment on column traceability.success_patterns.intent_classification is
'What the prompt asked for; null if not classified.';
comment on column traceability.success_patterns.keywords is
'Words of the prompt that matching compares.';
comment on column traceability.success_patterns.domain is 'Field of work; null if not known.';
comment on column traceability.success_patterns.agent_sequence is
'Agents in order. Empty where the pattern is one of tools.';
comment on column traceability.success_patterns.tool_sequence is
'Tools in order of their calls. Null or empty where the pattern is one of agents.';
comment on column traceability.success_patterns.routing_strategy is
'How the first agent was chosen; null if not known.';
comment on column traceability.success_patterns.hook_sequence is
'Array of hook steps; null if not kept.';
comment on column traceability.success_patterns.endpoint_pattern is
'Array of endpoint steps; null if not kept.';
comment on column traceability.success_patterns.success_count is 'Uses that succeeded.';
comment on column traceability.success_patterns.failure_count is 'Uses that failed.';
comment on column traceability.success_patterns.total_usage_count is
'Uses with a known outcome: successes and failures. Computed, never written.';
comment on column traceability.success_patterns.success_rate is
'Successes by uses, 0 to 1. Null for an unused pattern, so order by it nulls last. Computed.';
comment on column traceability.success_patterns.confidence_score is
'The writer''s trust in the pattern, 0 to 1; null if not rated.';
comment on column traceability.success_patterns.avg_duration_ms is
'Running mean in milliseconds. Has fractions: a whole number would stop moving after many uses.';
comment on column traceability.success_patterns.min_duration_ms is 'Shortest use in milliseconds.';
comment on column traceability.success_patterns.max_duration_ms is 'Longest use in milliseconds.';
comment on column traceability.success_patterns.avg_hook_count is
'Hooks per use; null if not counted.';
comment on column traceability.success_patterns.avg_endpoint_count is
'Endpoint calls per use; null if not counted.';
comment on column traceability.success_patterns.avg_rag_query_count is
'Retrieval queries per use; null if not counted.';
comment on column traceability.success_patterns.initial_success_score is
'Weighted score of the source trace, 0 to 1; null if not scored.';
comment on column traceability.success_patterns.context is
'Circumstances it was learned in, an object.';
comment on column traceability.success_patterns.tags is
'Free words; null and empty both mean none.';
comment on column traceability.success_patterns.is_active is
'False: no longer suggested, because too many of its uses failed.';
comment on column traceability.success_patterns.last_used_at is 'Last use; null if never used.';
comment on column traceability.success_patterns.created_at is 'When it was learned.';
comment on column traceability.success_patterns.updated_at is 'When the row was last changed.';
comment on column traceability.success_patterns.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column traceability.success_patterns.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Grows with every use, so it is partitioned by month. Uses are kept longer than traces: trace_id
-- is no key. One use per pattern and trace is a rule that a partitioned table cannot declare: the
-- function record_pattern_usage keeps it and a data test watches it.
create table traceability.pattern_usage_log (
    pattern_id uuid not null references traceability.success_patterns (id) on delete cascade,
    id uuid not null default gen_random_uuid(),
    trace_id uuid,
    used_at timestamptz not null default now() check (
        used_at >= timestamptz '2000-01-01 00:00+00' and used_at < timestamptz '2100-01-01 00:00+00'
    ),
    match_score numeric(5, 4) check (match_score between 0 and 1),
    was_applied boolean,
    outcome text check (outcome = any('{success,failure,partial_success}')),
    success boolean,
    deviations jsonb check (jsonb_typeof(deviations) in ('array', 'object')),
    expected_duration_ms integer check (expected_duration_ms >= 0),
    actual_duration_ms integer check (actual_duration_ms >= 0),
    performance_variance double precision generated always as (
        (actual_duration_ms::double precision - expected_duration_ms)
        / nullif(expected_duration_ms, 0)
    ) stored,
    user_feedback text,
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (pattern_id, id, used_at)
) partition by range (used_at);

alter table traceability.pattern_usage_log enable row level security;

-- Writers know a use by its id alone.
create index idx_usage_id on traceability.pattern_usage_log (id);
-- A pattern's uses, newest first.
create index idx_usage_pattern_used on traceability.pattern_usage_log (pattern_id, used_at desc);
-- The patterns that a trace used: few, so that this also tells whether it used a certain one.
create index idx_usage_trace on traceability.pattern_usage_log (trace_id);
-- Uses of a period within a month.
create index idx_usage_used_at on traceability.pattern_usage_log (used_at desc);
-- Uses that failed.
create index idx_usage_outcome on traceability.pattern_usage_log (outcome)
where outcome <> 'success';
-- What changed since a refresh.
create index idx_usage_change_id on traceability.pattern_usage_log
using brin (change_id) with (autosummarize = on);

create policy pattern_usage_log_service on traceability.pattern_usage_log
for all to service_role using (true) with check (true);

grant select, insert, update on traceability.pattern_usage_log to agentbooks_loader;
grant select on traceability.pattern_usage_log to agentbooks_refresher, authenticated;
grant select, delete on traceability.pattern_usage_log to agentbooks_retention;
grant select, insert, update, delete on traceability.pattern_usage_log to service_role;

comment on table traceability.pattern_usage_log is
'One row per use of a pattern in a trace. Deleting a pattern deletes its uses.';
comment on column traceability.pattern_usage_log.pattern_id is 'The pattern that was used.';
comment on column traceability.pattern_usage_log.id is 'The use.';
comment on column traceability.pattern_usage_log.trace_id is
'The trace that used it; null if none was named. May point to a trace that is gone.';
comment on column traceability.pattern_usage_log.used_at is
'When it was used, 2000 to 2099; decides the partition.';
comment on column traceability.pattern_usage_log.match_score is
'How well the pattern fitted the prompt, 0 to 1; null if not matched by score.';
comment on column traceability.pattern_usage_log.was_applied is
'Whether the suggestion was followed; null if not known.';
comment on column traceability.pattern_usage_log.outcome is
'success, failure or partial_success; null if not judged.';
comment on column traceability.pattern_usage_log.success is
'The verdict that counts in the pattern''s rate; null if not judged.';
comment on column traceability.pattern_usage_log.deviations is
'Where the run left the pattern; null if not recorded.';
comment on column traceability.pattern_usage_log.expected_duration_ms is
'The pattern''s mean before this use, in milliseconds; null if it had none.';
comment on column traceability.pattern_usage_log.actual_duration_ms is
'Milliseconds this use took; null if not measured.';
comment on column traceability.pattern_usage_log.performance_variance is
'(actual - expected) / expected duration: 0.5 is half as long again. Null where either is unknown '
'or the expected one is zero. Computed.';
comment on column traceability.pattern_usage_log.user_feedback is
'What the user said of it; null if nothing. Personal data.';
comment on column traceability.pattern_usage_log.metadata is
'Whatever else the writer knows, an object.';
comment on column traceability.pattern_usage_log.created_at is 'When the row was written.';
comment on column traceability.pattern_usage_log.updated_at is 'When the row was last changed.';
comment on column traceability.pattern_usage_log.tenant_id is
'Tenant; ''default'' without tenants.';
comment on column traceability.pattern_usage_log.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';

create table traceability.pattern_usage_log_default
partition of traceability.pattern_usage_log default;
alter table traceability.pattern_usage_log_default enable row level security;

select ops.create_month_partitions(
    'traceability.pattern_usage_log', current_date, (current_date + interval '3 months')::date
);


-- Which agents hand work to which.
create table traceability.agent_chaining_patterns (
    id uuid not null default gen_random_uuid() primary key,
    chain_pattern text[] not null check (
        cardinality(chain_pattern) >= 2 and array_position(chain_pattern, null) is null
    ),
    delegation_depth integer not null generated always as (cardinality(chain_pattern) - 1) stored,
    occurrence_count integer not null default 1 check (occurrence_count >= 1),
    avg_success_rate numeric(5, 4) check (avg_success_rate between 0 and 1),
    avg_total_duration_ms integer check (avg_total_duration_ms >= 0),
    avg_coordination_overhead_ms integer check (avg_coordination_overhead_ms >= 0),
    common_triggers text[],
    example_trace_ids uuid[],
    tags text[],
    last_used_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    unique (tenant_id, chain_pattern)
);

alter table traceability.agent_chaining_patterns enable row level security;

-- Chains that an agent is part of.
create index idx_chain_pattern on traceability.agent_chaining_patterns using gin (chain_pattern);
-- The most frequent chains.
create index idx_chain_occurrence on traceability.agent_chaining_patterns (occurrence_count desc);

create policy agent_chaining_patterns_service on traceability.agent_chaining_patterns
for all to service_role using (true) with check (true);

create policy agent_chaining_patterns_read on traceability.agent_chaining_patterns
for select to authenticated using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on traceability.agent_chaining_patterns to agentbooks_loader;
grant select on traceability.agent_chaining_patterns to agentbooks_refresher, authenticated;
grant select, delete on traceability.agent_chaining_patterns to agentbooks_retention;
grant select, insert, update, delete on traceability.agent_chaining_patterns to service_role;

comment on table traceability.agent_chaining_patterns is
'One row per chain of agents in which each hands over to the next.';
comment on column traceability.agent_chaining_patterns.id is 'The chain.';
comment on column traceability.agent_chaining_patterns.chain_pattern is
'Agents in order of delegation, at least two; unique in the tenant.';
comment on column traceability.agent_chaining_patterns.delegation_depth is
'Number of hand-overs. Computed.';
comment on column traceability.agent_chaining_patterns.occurrence_count is 'Times it was seen.';
comment on column traceability.agent_chaining_patterns.avg_success_rate is
'Share of its runs that succeeded, 0 to 1; null if none was judged.';
comment on column traceability.agent_chaining_patterns.avg_total_duration_ms is
'Mean of the whole chain in milliseconds; null if not measured.';
comment on column traceability.agent_chaining_patterns.avg_coordination_overhead_ms is
'Mean time between the agents in milliseconds; null if not measured.';
comment on column traceability.agent_chaining_patterns.common_triggers is
'What usually starts it; null if not known.';
comment on column traceability.agent_chaining_patterns.example_trace_ids is
'Some traces that show it. No keys: they may be gone.';
comment on column traceability.agent_chaining_patterns.tags is
'Free words; null and empty both mean none.';
comment on column traceability.agent_chaining_patterns.last_used_at is
'Last time seen; null if not known.';
comment on column traceability.agent_chaining_patterns.created_at is 'When it was first seen.';
comment on column traceability.agent_chaining_patterns.updated_at is
'When the row was last changed.';
comment on column traceability.agent_chaining_patterns.tenant_id is
'Tenant; ''default'' without tenants.';
comment on column traceability.agent_chaining_patterns.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Errors by kind, with what helped. The single errors stand in traces, hooks and endpoint calls.
create table traceability.error_patterns (
    id uuid not null default gen_random_uuid() primary key,
    error_type text not null check (error_type <> ''),
    error_category text check (
        error_category in ('network', 'validation', 'system', 'integration')
    ),
    error_message_pattern text not null,
    severity text check (severity in ('critical', 'high', 'medium', 'low')),
    error_count integer not null default 1 check (error_count >= 1),
    first_occurrence_at timestamptz not null default now(),
    last_occurrence_at timestamptz not null default now(),
    affected_agents text[],
    hook_type text,
    endpoint_url text,
    example_trace_ids uuid[],
    resolution_pattern jsonb check (
        resolution_pattern is null
        or coalesce(jsonb_typeof(resolution_pattern -> 'steps'), '') = 'array'
    ),
    resolution_success_rate numeric(5, 4) check (resolution_success_rate between 0 and 1),
    prevention_strategies jsonb check (jsonb_typeof(prevention_strategies) in ('array', 'object')),
    tags text[],
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    unique (tenant_id, error_type, error_message_pattern),
    constraint error_patterns_last_not_before_first check (
        last_occurrence_at >= first_occurrence_at
    )
);

alter table traceability.error_patterns enable row level security;

-- Errors of a type, whatever the tenant.
create index idx_error_type on traceability.error_patterns (error_type);
-- Errors of a severity.
create index idx_error_severity on traceability.error_patterns (severity);
-- The latest errors, by severity.
create index idx_error_recent on traceability.error_patterns (last_occurrence_at desc, severity);
-- Errors that an agent met.
create index idx_error_affected_agents on traceability.error_patterns using gin (affected_agents);

create policy error_patterns_service on traceability.error_patterns
for all to service_role using (true) with check (true);

create policy error_patterns_read on traceability.error_patterns
for select to authenticated using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on traceability.error_patterns to agentbooks_loader;
grant select on traceability.error_patterns to agentbooks_refresher, authenticated;
grant select, delete on traceability.error_patterns to agentbooks_retention;
grant select, insert, update, delete on traceability.error_patterns to service_role;

comment on table traceability.error_patterns is
'One row per kind of error: its type and the pattern of its message.';
comment on column traceability.error_patterns.id is 'The kind of error.';
comment on column traceability.error_patterns.error_type is
'Class of the error, such as TimeoutError.';
comment on column traceability.error_patterns.error_category is
'network, validation, system or integration; null if not sorted.';
comment on column traceability.error_patterns.error_message_pattern is
'The message without what varies; with error_type unique in the tenant.';
comment on column traceability.error_patterns.severity is
'critical, high, medium or low; null if not rated.';
comment on column traceability.error_patterns.error_count is 'Times it happened.';
comment on column traceability.error_patterns.first_occurrence_at is 'First time it happened.';
comment on column traceability.error_patterns.last_occurrence_at is 'Last time it happened.';
comment on column traceability.error_patterns.affected_agents is
'Agents that met it, each once; null if none is known.';
comment on column traceability.error_patterns.hook_type is
'Hook in which it happens; null if in none.';
comment on column traceability.error_patterns.endpoint_url is
'Endpoint that answers with it; null if none does.';
comment on column traceability.error_patterns.example_trace_ids is
'Some traces that show it. No keys: they may be gone.';
comment on column traceability.error_patterns.resolution_pattern is
'What helped: an object with an array under steps; null if nothing is known to.';
comment on column traceability.error_patterns.resolution_success_rate is
'Share of attempts in which that helped, 0 to 1; null if never tried.';
comment on column traceability.error_patterns.prevention_strategies is
'How to avoid it; null if not known.';
comment on column traceability.error_patterns.tags is 'Free words; null and empty both mean none.';
comment on column traceability.error_patterns.created_at is 'When the row was written.';
comment on column traceability.error_patterns.updated_at is 'When the row was last changed.';
comment on column traceability.error_patterns.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column traceability.error_patterns.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';
