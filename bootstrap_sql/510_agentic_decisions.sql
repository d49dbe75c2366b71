-- What agents decided, with the user's verdict, and the measurements that trust is computed from.

set local role agentbooks_owner;

-- Partitioned by month: decisions leave after six months, two years later for good.
create table agentic.agent_decisions (
    decision_id uuid not null default gen_random_uuid(),
    session_id uuid not null references agentic.agent_sessions on delete cascade,
    decision_type varchar(50) not null check (
        decision_type = any(
            '{code_generation,review,test,refactor,design,documentation,security_check,task}'
        )
    ),
    input_context jsonb not null,
    decision_rationale text,
    action_taken jsonb not null,
    confidence_score numeric(5, 4) check (confidence_score between 0 and 1),
    user_feedback varchar(20) check (
        user_feedback = any('{approved,rejected,modified,pending}')
    ),
    created_at timestamptz not null default now(),
    execution_time_ms integer check (execution_time_ms >= 0),
    metadata jsonb not null default '{}',
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (session_id, decision_id, created_at),
    constraint agent_decisions_input_context_is_object check (jsonb_typeof(input_context) = 'object'),
    constraint agent_decisions_action_taken_is_object check (jsonb_typeof(action_taken) = 'object'),
    constraint agent_decisions_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
    constraint agent_decisions_created_at_readable check (
        created_at >= timestamptz '2000-01-01 00:00:00+00'
        and created_at < timestamptz '2100-01-01 00:00:00+00'
    )
) partition by range (created_at);

alter table agentic.agent_decisions enable row level security;

create table agentic.agent_decisions_default partition of agentic.agent_decisions default;
alter table agentic.agent_decisions_default enable row level security;
select ops.create_month_partitions(
    'agentic.agent_decisions', current_date, (current_date + interval '3 months')::date
);

-- Feedback comes later and knows the decision alone.
create index agent_decisions_decision_id on agentic.agent_decisions (decision_id);
-- A session's decisions in order.
create index agent_decisions_session_id_created_at on agentic.agent_decisions (session_id, created_at);
-- An agent's decisions of one type, through its sessions.
create index agent_decisions_session_id_decision_type
on agentic.agent_decisions (session_id, decision_type);
-- The latest decisions of one type.
create index agent_decisions_decision_type_created_at
on agentic.agent_decisions (decision_type, created_at);
-- One day out of a month, for the refresh.
create index agent_decisions_created_at on agentic.agent_decisions (created_at);
-- Decisions taken on an input that contains something: @>.
create index agent_decisions_input_context
on agentic.agent_decisions using gin (input_context jsonb_path_ops);
-- Finds what changed since the last refresh.
create index agent_decisions_change_id on agentic.agent_decisions
using brin (change_id) with (autosummarize = on);

grant select, insert, update on agentic.agent_decisions to agentbooks_loader;
grant select on agentic.agent_decisions to agentbooks_refresher, authenticated;
grant select, delete on agentic.agent_decisions to agentbooks_retention;
grant select, insert, update, delete on agentic.agent_decisions to service_role;

comment on table agentic.agent_decisions is
'One row per decision of an agent. Refused when it is later than the end of its session (AB410).';
comment on column agentic.agent_decisions.decision_id is 'Unique within the session.';
comment on column agentic.agent_decisions.session_id is 'Session it was taken in.';
comment on column agentic.agent_decisions.decision_type is 'What was decided about.';
comment on column agentic.agent_decisions.input_context is
'An object, free in its keys: what the decision was based on.';
comment on column agentic.agent_decisions.decision_rationale is
'The agent''s reasons; may hold personal data. Null when it gave none.';
comment on column agentic.agent_decisions.action_taken is
'An object, free in its keys: what was then done; empty when nothing was.';
comment on column agentic.agent_decisions.confidence_score is
'How sure the agent was, from 0 to 1; null when it did not say.';
comment on column agentic.agent_decisions.user_feedback is
'The user''s verdict; null when never asked for, pending when asked for and not yet given.';
comment on column agentic.agent_decisions.created_at is 'When it was taken; the partition key.';
comment on column agentic.agent_decisions.execution_time_ms is
'How long carrying it out took; null when not measured.';
comment on column agentic.agent_decisions.metadata is
'An object, free in its keys: what a loader keeps beside the columns.';
comment on column agentic.agent_decisions.tenant_id is 'Tenant whose decision this is.';
comment on column agentic.agent_decisions.change_id is 'Transaction that last wrote the row.';

-- Small and read by session: not partitioned. The trust level itself stands on the session.
create table agentic.trust_metrics (
    metric_id uuid not null default gen_random_uuid(),
    session_id uuid not null references agentic.agent_sessions on delete cascade,
    metric_type varchar(50) not null check (
        metric_type in ('accuracy', 'autonomy', 'complexity', 'reliability', 'efficiency')
    ),
    metric_value numeric not null,
    measurement_context jsonb,
    recorded_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (session_id, metric_id),
    constraint trust_metrics_value_in_range check (
        metric_value between 0 and case metric_type when 'complexity' then 10 else 100 end
    ),
    constraint trust_metrics_measurement_context_is_object check (
        jsonb_typeof(measurement_context) = 'object'
    ),
    constraint trust_metrics_recorded_at_readable check (
        recorded_at >= timestamptz '2000-01-01 00:00:00+00'
        and recorded_at < timestamptz '2100-01-01 00:00:00+00'
    )
);

alter table agentic.trust_metrics enable row level security;

-- Corrections know the metric alone.
create index trust_metrics_metric_id on agentic.trust_metrics (metric_id);
-- A session's course of one metric.
create index trust_metrics_session_id_metric_type
on agentic.trust_metrics (session_id, metric_type, recorded_at);
-- One metric over all sessions, by time.
create index trust_metrics_metric_type_recorded_at on agentic.trust_metrics (metric_type, recorded_at);
-- Finds what changed since the last refresh.
create index trust_metrics_change_id on agentic.trust_metrics
using brin (change_id) with (autosummarize = on);

grant select, insert, update on agentic.trust_metrics to agentbooks_loader;
grant select on agentic.trust_metrics to agentbooks_refresher, authenticated;
grant select, delete on agentic.trust_metrics to agentbooks_retention;
grant select, insert, update, delete on agentic.trust_metrics to service_role;

comment on table agentic.trust_metrics is 'One row per measurement of how an agent did in a session.';
comment on column agentic.trust_metrics.metric_id is 'Unique within the session.';
comment on column agentic.trust_metrics.session_id is 'Session that was measured.';
comment on column agentic.trust_metrics.metric_type is 'What was measured; it fixes the scale.';
comment on column agentic.trust_metrics.metric_value is
'0 to 10 for complexity, 0 to 100 for all others: never compare them without conforming.';
comment on column agentic.trust_metrics.measurement_context is
'An object, free in its keys: how it was measured; null when not recorded.';
comment on column agentic.trust_metrics.recorded_at is 'When it was measured.';
comment on column agentic.trust_metrics.tenant_id is 'Tenant whose metric this is.';
comment on column agentic.trust_metrics.change_id is 'Transaction that last wrote the row.';
