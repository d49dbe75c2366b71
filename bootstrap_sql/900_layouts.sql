-- Where each table stands on a Citus cluster, and what such a cluster would refuse. PostgreSQL alone
-- asks for none of it. So that the way there stays open, every table says how it would be spread.
-- Files numbered ...90 make what a cluster leaves out: without them the view is empty.

set local role agentbooks_owner;

create table ops.table_layouts (
    table_name text not null primary key,
    layout text not null check (layout in ('distributed', 'reference', 'local')),
    distribution_column text,
    colocated_with text references ops.table_layouts (table_name),
    constraint table_layouts_distributed_by_a_column check (
        (layout = 'distributed') = (distribution_column is not null)
        and (layout = 'distributed') = (colocated_with is not null)
    )
);

comment on table ops.table_layouts is 'One row per table: how a cluster would spread it.';
comment on column ops.table_layouts.table_name is 'With its schema.';
comment on column ops.table_layouts.layout is
'distributed: rows lie on the node that a column says; reference: a copy on every node; local: on '
'the coordinator alone.';
comment on column ops.table_layouts.distribution_column is 'That column; null if not distributed.';
comment on column ops.table_layouts.colocated_with is
'First table of its group, for that one its own name: in a group, equal values of the distribution '
'columns lie on one node. Null if not distributed.';

insert into ops.table_layouts (table_name, layout, distribution_column, colocated_with)
values
    ('raaf.raaf_tracing_traces', 'distributed', 'trace_id', 'raaf.raaf_tracing_traces'),
    ('raaf.raaf_tracing_spans', 'distributed', 'trace_id', 'raaf.raaf_tracing_traces'),
    ('observability.traces', 'distributed', 'trace_id', 'observability.traces'),
    ('observability.spans', 'distributed', 'trace_id', 'observability.traces'),
    ('observability.cost_records', 'distributed', 'id', 'observability.cost_records'),
    ('observability.usage_logs', 'distributed', 'id', 'observability.usage_logs'),
    ('traceability.execution_traces', 'distributed', 'id', 'traceability.execution_traces'),
    (
        'traceability.agent_routing_decisions',
        'distributed',
        'trace_id',
        'traceability.execution_traces'
    ),
    ('traceability.hook_executions', 'distributed', 'trace_id', 'traceability.execution_traces'),
    ('traceability.endpoint_calls', 'distributed', 'trace_id', 'traceability.execution_traces'),
    (
        'traceability.pattern_usage_log',
        'distributed',
        'pattern_id',
        'traceability.pattern_usage_log'
    ),
    ('chat.conversation_sessions', 'distributed', 'id', 'chat.conversation_sessions'),
    ('chat.chat_messages_v2', 'distributed', 'session_id', 'chat.conversation_sessions'),
    ('chat.message_versions', 'distributed', 'session_id', 'chat.conversation_sessions'),
    ('chat.chat_messages', 'distributed', 'id', 'chat.chat_messages'),
    ('chat.context_snapshots', 'distributed', 'id', 'chat.context_snapshots'),
    ('agentic.agent_sessions', 'distributed', 'session_id', 'agentic.agent_sessions'),
    ('agentic.agent_decisions', 'distributed', 'session_id', 'agentic.agent_sessions'),
    ('agentic.trust_metrics', 'distributed', 'session_id', 'agentic.agent_sessions'),
    ('agentic.conversation_history', 'distributed', 'session_id', 'agentic.agent_sessions'),
    ('agentic.agent_audit_log', 'distributed', 'session_id', 'agentic.agent_sessions'),
    ('agentic.audit_chain_heads', 'distributed', 'session_id', 'agentic.agent_sessions');

insert into ops.table_layouts (table_name, layout)
values
    ('raaf.raaf_tracing_span_replays', 'reference'),
    ('observability.profiles', 'reference'),
    ('observability.workflows', 'reference'),
    ('observability.cost_aggregations', 'reference'),
    ('traceability.success_patterns', 'reference'),
    ('traceability.agent_chaining_patterns', 'reference'),
    ('traceability.error_patterns', 'reference'),
    ('chat.users', 'reference'),
    ('chat.agents', 'reference'),
    ('chat.workspaces', 'reference'),
    ('chat.workspace_members', 'reference'),
    ('chat.chat_channels', 'reference'),
    ('chat.datastores', 'reference'),
    ('chat.agent_datastores', 'reference'),
    ('chat.agent_memories', 'reference'),
    ('chat.memory_consolidations', 'reference'),
    ('chat.agent_states', 'reference'),
    ('chat.state_checkpoints', 'reference'),
    ('chat.state_transitions', 'reference'),
    ('chat.context_templates', 'reference'),
    ('agentic.users', 'reference'),
    ('agentic.agents', 'reference'),
    ('agentic.agent_knowledge', 'reference'),
    ('ops.pseudonym_salt', 'reference'),
    ('ops.as_of', 'reference'),
    ('agentic.schema_versions', 'local'),
    ('ops.raw_schemas', 'local'),
    ('ops.adopted_objects', 'local'),
    ('ops.schema_changes', 'local'),
    ('ops.schema_objects', 'local'),
    ('ops.changes', 'local'),
    ('ops.chat_migration', 'local'),
    ('ops.lifecycle_transactions', 'local'),
    ('ops.retention_overrides', 'local'),
    ('ops.backfills', 'local'),
    ('ops.backups', 'local'),
    ('ops.erasures', 'local'),
    ('ops.erasure_steps', 'local'),
    ('ops.erasure_keys', 'local'),
    ('ops.personal_data', 'local'),
    ('ops.protected_columns', 'local'),
    ('ops.encryption_keys', 'local'),
    ('ops.loose_files', 'local'),
    ('ops.pooled_models', 'local'),
    ('ops.captured_tables', 'local'),
    ('ops.collections', 'local'),
    ('ops.content_hashes', 'local'),
    ('ops.refreshes', 'local'),
    ('ops.refreshed_periods', 'local'),
    ('ops.seals', 'local'),
    ('ops.built_views', 'local'),
    ('ops.departures', 'local'),
    ('ops.departed_audit_links', 'local'),
    ('ops.frozen_for', 'local'),
    ('ops.departed_keys', 'local'),
    ('ops.late_rows', 'local'),
    ('ops.legal_holds', 'local'),
    ('ops.archive_files', 'local'),
    ('ops.month_clocks', 'local'),
    ('ops.purges', 'local'),
    ('ops.budgets', 'local'),
    ('ops.forecasts', 'local'),
    ('ops.learned_months', 'local'),
    ('ops.learned_counts', 'local'),
    ('ops.pruned_patterns', 'local'),
    ('ops.trust_checkpoints', 'local'),
    ('ops.loaded_runs', 'local'),
    ('ops.rejected_records', 'local'),
    ('ops.table_layouts', 'local');

-- An archive lies where its table does.
insert into ops.table_layouts (table_name, layout, distribution_column, colocated_with)
select ops.relation_name(a.archive), l.layout, l.distribution_column, l.colocated_with
from ops.archives as a
join ops.table_layouts as l on ops.relation_name(a.hot) = l.table_name;

create view ops.distribution_violations with (security_invoker = true) as
with tables as (
    select
        c.oid,
        n.nspname || '.' || c.relname as table_name,
        l.layout,
        l.distribution_column,
        l.colocated_with,
        a.attnum as distribution_attnum,
        a.attnotnull
    from pg_class as c
    join pg_namespace as n on c.relnamespace = n.oid
    left join ops.table_layouts as l on n.nspname || '.' || c.relname = l.table_name
    left join pg_attribute as a
        on c.oid = a.attrelid and l.distribution_column = a.attname and not a.attisdropped
    where
        pg_get_userbyid(n.nspowner) = 'agentbooks_owner'
        and c.relkind in ('r', 'p')
        and not c.relispartition
),

foreign_keys as (
    select
        child.table_name,
        k.conname as object_name,
        case
            when child.layout = 'local' and parent.layout = 'distributed'
                then 'would not be checked: it leads from a local to a distributed table'
            when child.layout = 'local' then null
            when k.conrelid = k.confrelid then 'leads to its own table'
            when k.confdeltype in ('n', 'd') or k.confupdtype in ('n', 'd') then 'sets null or default'
            when parent.layout = 'local' then 'leads to a local table'
            when
                parent.layout = 'distributed'
                and (
                    child.colocated_with is distinct from parent.colocated_with
                    or array_position(k.conkey, child.distribution_attnum)
                    is distinct from array_position(k.confkey, parent.distribution_attnum)
                )
                then 'leads out of its co-location group'
        end as problem
    from pg_constraint as k
    join tables as child on k.conrelid = child.oid
    join tables as parent on k.confrelid = parent.oid
    where k.contype = 'f' and k.conparentid = 0
)

select t.table_name, null::name as object_name, 'has no layout' as problem
from tables as t
where t.layout is null
union all
select l.table_name, null, 'has a layout, but is not there'
from ops.table_layouts as l
where to_regclass(l.table_name) is null
union all
select t.table_name, t.distribution_column, 'is no column, or may be null'
from tables as t
where t.layout = 'distributed' and t.attnotnull is distinct from true
union all
select t.table_name, null, 'has no primary key'
from tables as t
where
    t.layout = 'distributed'
    and not exists (
        select from pg_index as i
        where i.indrelid = t.oid and i.indisprimary
    )
union all
select t.table_name, c.relname, 'does not begin with the distribution column'
from tables as t
join pg_index as i on t.oid = i.indrelid
join pg_class as c on i.indexrelid = c.oid
where
    t.layout = 'distributed'
    and (i.indisunique or i.indisexclusion)
    and i.indkey[0] is distinct from t.distribution_attnum
union all
select k.table_name, k.object_name, k.problem
from foreign_keys as k
where k.problem is not null
union all
select t.table_name, g.tgname, 'is a trigger'
from tables as t
join pg_trigger as g on t.oid = g.tgrelid
where t.layout <> 'local' and not g.tgisinternal
union all
select distinct t.table_name, p.polname, 'looks at another table'
from tables as t
join pg_policy as p on t.oid = p.polrelid
join pg_depend as d
    on p.oid = d.objid and d.classid = 'pg_policy'::regclass and d.refclassid = 'pg_class'::regclass
where t.layout <> 'local' and d.refobjid <> p.polrelid;

comment on view ops.distribution_violations is
'What a Citus cluster would refuse or not keep: one row per fault. On plain PostgreSQL it lists what '
'the files numbered ...90 have made, and nothing else.';
comment on column ops.distribution_violations.table_name is 'With its schema.';
comment on column ops.distribution_violations.object_name is
'Column, index, key, trigger or policy; null: the table itself.';
comment on column ops.distribution_violations.problem is 'What is wrong with it.';
