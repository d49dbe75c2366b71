-- What was said in a session. The largest table of the schema, and most of it personal data.

set local role agentbooks_owner;

-- Partitioned by month: messages leave after 90 days. A reply's parent may leave before it, so that
-- parent_message_id is no foreign key.
create table agentic.conversation_history (
    message_id uuid not null default gen_random_uuid(),
    session_id uuid not null references agentic.agent_sessions on delete cascade,
    role varchar(20) not null check (role = any('{user,agent,system,tool}')),
    content text not null,
    message_type varchar(30) check (
        message_type = any('{text,code,command,file,error,warning,info}')
    ),
    parent_message_id uuid,
    created_at timestamptz not null default now(),
    tokens_used bigint check (tokens_used >= 0),
    model_used varchar(255),
    metadata jsonb not null default '{}',
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (session_id, message_id, created_at),
    constraint conversation_history_not_its_own_parent check (parent_message_id <> message_id),
    constraint conversation_history_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
    constraint conversation_history_created_at_readable check (
        created_at >= timestamptz '2000-01-01 00:00:00+00'
        and created_at < timestamptz '2100-01-01 00:00:00+00'
    )
) partition by range (created_at);

alter table agentic.conversation_history enable row level security;

create table agentic.conversation_history_default
partition of agentic.conversation_history default;
alter table agentic.conversation_history_default enable row level security;
select ops.create_month_partitions(
    'agentic.conversation_history', current_date, (current_date + interval '3 months')::date
);

-- Corrections know the message alone.
create index conversation_history_message_id on agentic.conversation_history (message_id);
-- The latest messages of a session: the query that every turn of an agent makes.
create index conversation_history_session_id_created_at
on agentic.conversation_history (session_id, created_at);
-- The replies to a message; most messages are none.
create index conversation_history_parent_message_id
on agentic.conversation_history (parent_message_id) where parent_message_id is not null;
-- What changed since the last refresh, and one day out of a month: a BRIN serves each of its columns.
create index conversation_history_change_id on agentic.conversation_history
using brin (change_id, created_at) with (autosummarize = on);

grant select, insert, update on agentic.conversation_history to agentbooks_loader;
grant select on agentic.conversation_history to agentbooks_refresher, authenticated;
grant select, delete on agentic.conversation_history to agentbooks_retention;
grant select, insert, update, delete on agentic.conversation_history to service_role;

comment on table agentic.conversation_history is
'One row per message of a session. Refused when it is later than the end of its session (AB410).';
comment on column agentic.conversation_history.message_id is 'Unique within the session.';
comment on column agentic.conversation_history.session_id is 'Session it was said in.';
comment on column agentic.conversation_history.role is
'Who speaks; agent is what other systems call assistant.';
comment on column agentic.conversation_history.content is
'What was said, as sent; empty for a message that only calls tools. Personal data.';
comment on column agentic.conversation_history.message_type is 'Form of the content; null is unknown.';
comment on column agentic.conversation_history.parent_message_id is
'Message it answers, perhaps archived by now; null for the first of a thread.';
comment on column agentic.conversation_history.created_at is 'When it was said; the partition key.';
comment on column agentic.conversation_history.tokens_used is
'Input and output tokens together, the source does not split them; null when not reported.';
comment on column agentic.conversation_history.model_used is
'Model as its provider names it; null for messages that no model wrote.';
comment on column agentic.conversation_history.metadata is
'An object, free in its keys: what a loader keeps beside the columns.';
comment on column agentic.conversation_history.tenant_id is 'Tenant whose message this is.';
comment on column agentic.conversation_history.change_id is 'Transaction that last wrote the row.';
