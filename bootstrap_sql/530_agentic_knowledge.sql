-- What agents have learned and may use again. Similarity search over it is in 570_agentic_vectors.

set local role agentbooks_owner;

create table agentic.agent_knowledge (
    knowledge_id uuid not null default gen_random_uuid() primary key,
    agent_id uuid not null references agentic.agents on delete cascade,
    knowledge_type varchar(50) not null check (
        knowledge_type in ('pattern', 'solution', 'preference', 'constraint', 'example')
    ),
    domain varchar(100) not null check (
        domain in ('frontend', 'backend', 'testing', 'security', 'infrastructure', 'documentation')
    ),
    content jsonb not null,
    usage_count integer not null default 0 check (usage_count >= 0),
    success_count integer,
    success_rate numeric(5, 4) check (success_rate between 0 and 1),
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint agent_knowledge_content_is_object check (jsonb_typeof(content) = 'object'),
    constraint agent_knowledge_success_within_usage check (success_count between 0 and usage_count)
);

alter table agentic.agent_knowledge enable row level security;

-- What one agent knows; serves the foreign key too.
create index agent_knowledge_agent_id on agentic.agent_knowledge (agent_id);
-- What is known about a domain, by any agent.
create index agent_knowledge_domain on agentic.agent_knowledge (domain);
-- All knowledge of one kind.
create index agent_knowledge_knowledge_type on agentic.agent_knowledge (knowledge_type);
-- Knowledge whose content contains something: @>.
create index agent_knowledge_content on agentic.agent_knowledge using gin (content jsonb_path_ops);

create policy agent_knowledge_select_tenant on agentic.agent_knowledge
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on agentic.agent_knowledge to agentbooks_loader;
grant select on agentic.agent_knowledge to agentbooks_refresher, authenticated;
grant select, delete on agentic.agent_knowledge to agentbooks_retention;
grant select, insert, update, delete on agentic.agent_knowledge to service_role;

comment on table agentic.agent_knowledge is 'One row per thing that an agent has learned.';
comment on column agentic.agent_knowledge.knowledge_id is 'Key of the piece of knowledge.';
comment on column agentic.agent_knowledge.agent_id is 'Agent that learned it.';
comment on column agentic.agent_knowledge.knowledge_type is 'What kind of knowledge it is.';
comment on column agentic.agent_knowledge.domain is 'Field of work it is of use in.';
comment on column agentic.agent_knowledge.content is 'An object, free in its keys: the knowledge itself.';
comment on column agentic.agent_knowledge.usage_count is 'How often it was used.';
comment on column agentic.agent_knowledge.success_count is
'How many of the uses went well; null when the writer keeps no count.';
comment on column agentic.agent_knowledge.success_rate is
'From 0 to 1 as the writer reports it, a rounded running mean; where success_count is known, divide '
'that by usage_count instead. Null when unknown, such as before the first use.';
comment on column agentic.agent_knowledge.created_at is 'When it was learned.';
comment on column agentic.agent_knowledge.last_used_at is 'When it was last used; null for never.';
comment on column agentic.agent_knowledge.tenant_id is 'Tenant whose knowledge this is.';
comment on column agentic.agent_knowledge.change_id is 'Transaction that last wrote the row.';
