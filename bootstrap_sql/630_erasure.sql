-- A person is forgotten wherever a row says something of them: personal rows are deleted or blanked, ids
-- become those of a tombstone, and what was counted stays counted, for nobody in particular. Where that
-- may be is declared here, a row per table; a table that is not declared fails a test.

set local role agentbooks_owner;

create table ops.backups (
    name text not null primary key check (name <> ''),
    location text not null check (location <> ''),
    kept_for interval not null check (kept_for > interval '0')
);

comment on table ops.backups is
'One row per copy of the database or of archived files that is made outside. An erasure does not reach '
'them; its receipt names them, and when the last of them has gone.';
comment on column ops.backups.name is 'What people call it.';
comment on column ops.backups.location is 'Where it is.';
comment on column ops.backups.kept_for is 'How long a copy lives.';

create table ops.erasures (
    erasure_id bigint not null generated always as identity primary key,
    subject_hashes text[] not null check (cardinality(subject_hashes) > 0),
    tenant_id text not null,
    state text not null default 'running' check (state in ('running', 'refreshing', 'done')),
    asked_by text not null default session_user,
    begun_at timestamptz not null default clock_timestamp(),
    done_at timestamptz,
    backups jsonb not null default '[]' check (jsonb_typeof(backups) = 'array'),
    constraint erasures_done check ((state = 'done') = (done_at is not null))
);

-- Who comes again finds the receipt.
create index erasures_subject_hashes on ops.erasures using gin (subject_hashes);

comment on table ops.erasures is
'One row per erasure of one or more persons: its receipt, which names nobody.';
comment on column ops.erasures.erasure_id is 'The erasure.';
comment on column ops.erasures.subject_hashes is
'By ops.subject_hash: whoever knows an id can ask whether it was erased, and no list of ids follows from it.';
comment on column ops.erasures.tenant_id is 'Tenant whose rows these were.';
comment on column ops.erasures.state is
'running; refreshing: raw rows and files are done, the marts wait for dbt; done.';
comment on column ops.erasures.asked_by is 'Role that logged in.';
comment on column ops.erasures.begun_at is 'When.';
comment on column ops.erasures.done_at is 'When nothing was left; null as long as something is.';
comment on column ops.erasures.backups is
'What ops.backups said then: name, location, and when the last copy with the person has expired.';

create table ops.erasure_steps (
    erasure_id bigint not null references ops.erasures on delete cascade,
    place text not null,
    action text not null,
    rows bigint not null check (rows >= 0),
    old_sha256 text,
    new_sha256 text,
    new_place text,
    done_at timestamptz not null default clock_timestamp(),
    primary key (erasure_id, place, action)
);

comment on table ops.erasure_steps is 'One row per erasure, and table or file in which it did something.';
comment on column ops.erasure_steps.erasure_id is 'The erasure.';
comment on column ops.erasure_steps.place is 'Table, or URL of the file that was replaced.';
comment on column ops.erasure_steps.action is
'delete, blank, pool (in a mart, under erased), replace (a file, the old one is still there) or replaced.';
comment on column ops.erasure_steps.rows is 'How many rows.';
comment on column ops.erasure_steps.old_sha256 is 'Of a file, the checksum it had.';
comment on column ops.erasure_steps.new_sha256 is 'Of a file, that of the one in its place.';
comment on column ops.erasure_steps.new_place is 'Of a file, the URL of the one in its place.';
comment on column ops.erasure_steps.done_at is 'When it was last at work there.';

create table ops.erasure_keys (
    erasure_id bigint not null references ops.erasures on delete cascade,
    kind text not null,
    key text not null,
    uuid_key uuid generated always as (
        case when key ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then key::uuid end
    ) stored,
    primary key (erasure_id, kind, key)
);

comment on table ops.erasure_keys is
'One row per id by which an erasure at work knows its persons and what is theirs: so that it can go on '
'after a crash, when the rows no longer say it. Empty once it is done.';
comment on column ops.erasure_keys.erasure_id is 'The erasure.';
comment on column ops.erasure_keys.kind is
'person, email, name, user_key (in marts), or what is theirs, such as chat_session or obs_trace.';
comment on column ops.erasure_keys.key is 'The id, as text.';
comment on column ops.erasure_keys.uuid_key is 'The same as a uuid, if it is one.';

create table ops.personal_data (
    table_name text not null primary key,
    place int not null unique generated always as identity,
    fate text not null check (fate in ('blank', 'delete', 'ops', 'keep')),
    ties text[] not null default '{}',
    finds text[] not null default '{}',
    only_where text,
    person_columns text[] not null default '{}',
    blanked text,
    shaped jsonb not null default '{}',
    scrubbed text[] not null default '{}',
    kept text[] not null default '{}'
);

comment on table ops.personal_data is
'One row per table: where it says something of a person, and what an erasure does about it. In the order '
'of the work: what is deleted comes after all that names it.';
comment on column ops.personal_data.table_name is 'With its schema; its archive is treated alike.';
comment on column ops.personal_data.place is 'Order of the work.';
comment on column ops.personal_data.fate is
'What happens to the rows of a person: blank (they stay and say nothing), delete, ops (ops.erase_from_ops '
'knows how), keep (there are none).';
comment on column ops.personal_data.ties is
'What makes a row a person''s: `column = kind of key`, or an expression over h in place of the column; '
'`column[]` for an array.';
comment on column ops.personal_data.finds is 'Further keys that such a row gives, in the same way.';
comment on column ops.personal_data.only_where is 'Condition on rows h that are looked at; null: all.';
comment on column ops.personal_data.person_columns is
'Columns with a person''s id, in whose place that of the tombstone is put.';
comment on column ops.personal_data.blanked is
'Columns that are emptied; of an object the paths that models read may stay: `metadata(model tokens.total)`.';
comment on column ops.personal_data.shaped is 'By column, the expression over h that takes its place.';
comment on column ops.personal_data.scrubbed is
'Columns that are about something else: ids, e-mail addresses and full names of persons are taken out of '
'them, in whosever rows, also from those that are blanked.';
comment on column ops.personal_data.kept is
'Columns of texts, objects, vectors and ids of users that say nothing of a person.';

insert into ops.personal_data (table_name, fate, ties, finds, person_columns, blanked, shaped, kept)
values
    (
        'observability.traces', 'blank',
        '{user_id = person,"h.metadata ->> ''user_id'' = person"}',
        '{obs_trace = trace_id,execution = execution_id,'
        '"run = case when h.metadata ? ''loader'' then h.metadata ->> ''run_id'' end"}',
        '{user_id}', 'query error',
        jsonb_build_object('metadata',
            'ops.kept_paths(h.metadata, ''{run_id,loader,agent.name,agent.version,agent.model,domain,task_id,'
            'trial,reward,agent_cost_usd,counterpart_cost_usd}'') '
            '|| case when h.metadata ? ''user_id'' then ''{"user_id": "erased"}''::jsonb else ''{}'' end'),
        '{workflow_id,execution_id,status,total_tokens}'
    ),
    (
        'observability.spans', 'blank', '{trace_id = obs_trace,user_id = person}', '{}', '{user_id}',
        'inputs outputs error error_stack metadata(loader run_id payer call_is_missing) evaluation(metrics)',
        '{}',
        '{span_type,name,status,tokens,model,provider,error_type,api_limits,child_spans}'
    ),
    (
        'observability.cost_records', 'blank', '{user_id = person,execution_id = execution}', '{}',
        '{user_id}',
        'config metadata', '{}', '{execution_id,node_id,node_type,tokens_used,provider,model,category}'
    ),
    (
        'observability.usage_logs', 'blank', '{user_id = person,execution_id = execution}', '{}', '{user_id}',
        'api_key_id', '{}', '{execution_id,status}'
    ),
    ('observability.cost_aggregations', 'delete', '{user_id = person}', '{}', '{}', null, '{}', '{}'),
    (
        'traceability.execution_traces', 'blank',
        '{btrim(h.user_id) = person,root_id = exec_link,parent_id = exec_link}',
        '{exec_trace = id,exec_link = correlation_id}', '{user_id}',
        'prompt_text error_message context', '{}', '{source,status,error_type,tags}'
    ),
    (
        'traceability.agent_routing_decisions', 'blank', '{trace_id = exec_trace}', '{}', '{}',
        'query_text query_embedding selection_reason alternatives', '{}', '{agent_selected,routing_strategy}'
    ),
    (
        'traceability.hook_executions', 'blank', '{trace_id = exec_trace}', '{}', '{}',
        'input_data output_data(decision continue hookSpecificOutput.permissionDecision) modifications_made '
        'rag_results quality_results(quality_score violations_found corrections_applied) error_message '
        'error_stack file_path metadata', '{}', '{hook_type,hook_name,tool_name,status,error_type}'
    ),
    (
        'traceability.endpoint_calls', 'blank', '{trace_id = exec_trace}', '{}', '{}',
        'request_body response_body headers context error_message rag_query',
        '{"endpoint_url": "split_part(h.endpoint_url, ''?'', 1)"}', '{service,method,error_type}'
    ),
    (
        'traceability.pattern_usage_log', 'blank',
        '{trace_id = exec_trace,"h.metadata ->> ''run_id'' = run"}', '{}', '{}',
        'deviations user_feedback metadata(loader learned run_id source_system)', '{}', '{outcome}'
    ),
    (
        'raaf.raaf_tracing_traces', 'blank',
        '{"h.metadata ->> ''user_id'' = person","h.metadata ->> ''user.id'' = person",'
        '"h.metadata #>> ''{user,id}'' = person","h.metadata ->> ''user'' = person",trace_id = raaf_trace}',
        '{raaf_trace = trace_id}', '{}', 'metadata', '{}', '{trace_id,workflow_name,group_id,status}'
    ),
    (
        'raaf.raaf_tracing_spans', 'blank',
        '{trace_id = raaf_trace,"h.span_attributes ->> ''user_id'' = person",'
        '"h.span_attributes ->> ''user.id'' = person"}',
        '{raaf_trace = trace_id,raaf_span = span_id}', '{}',
        'prompt_data input_context output_context chat_messages '
        'execution_metadata(agent_version error_info.type handoffs tools_used) '
        'span_attributes(agent.name function.name tool.name agent.model llm.request.model llm.model model '
        'handoff.from handoff.to input_tokens output_tokens total_tokens llm.usage.input_tokens '
        'llm.usage.prompt_tokens llm.usage.output_tokens llm.usage.completion_tokens llm.usage.total_tokens '
        'usage.input_tokens usage.prompt_tokens usage.output_tokens usage.completion_tokens '
        'usage.total_tokens llm.tokens.input llm.tokens.output llm.tokens.total llm.tokens.cache_read '
        'llm.tokens.cache_creation '
        'llm.usage.cache_read_input_tokens usage.cache_read_input_tokens '
        'llm.usage.cache_creation_input_tokens usage.cache_creation_input_tokens '
        'llm.usage.prompt_tokens_details.cached_tokens llm.usage.input_tokens_details.cached_tokens '
        'usage.prompt_tokens_details.cached_tokens usage.input_tokens_details.cached_tokens '
        'llm.usage.completion_tokens_details.reasoning_tokens '
        'llm.usage.output_tokens_details.reasoning_tokens usage.completion_tokens_details.reasoning_tokens '
        'usage.output_tokens_details.reasoning_tokens)',
        jsonb_build_object('events',
            'case when h.events is not null then (select coalesce(jsonb_agg(jsonb_build_object('
            '''name'', ''exception'', ''attributes'', '
            'jsonb_build_object(''exception.type'', e #> ''{attributes,exception.type}''))), ''[]'') '
            'from jsonb_array_elements(h.events) as e '
            'where e ->> ''name'' = ''exception'' and e #> ''{attributes,exception.type}'' is not null) end'),
        '{span_id,trace_id,parent_id,name,kind,status,agent_model,agent_name}'
    ),
    (
        'raaf.raaf_tracing_span_replays', 'blank', '{original_span_id = raaf_span}', '{}', '{}',
        'configuration_changes system_prompt user_messages error_message notes', '{}',
        '{original_span_id,replayed_span_id,status}'
    ),
    (
        'chat.conversation_sessions', 'blank', '{user_id = person}', '{chat_session = id}', '{user_id}',
        'session_state interruption_context', '{}', '{status}'
    ),
    (
        'chat.chat_messages', 'blank', '{sender_user_id = person}', '{chat_message = id}', '{sender_user_id}',
        'content metadata embedding', '{}', '{}'
    ),
    (
        'chat.chat_messages_v2', 'blank', '{session_id = chat_session,sender_user_id = person}',
        '{chat_message = id,chat_state = state_snapshot_id}', '{sender_user_id}',
        'content(type) metadata(model tokens latency.inference_ms) context tools audit memory_refs '
        'embedding', '{}',
        '{version,role}'
    ),
    (
        'chat.message_versions', 'blank',
        '{session_id = chat_session,message_id = chat_message,changed_by = person}', '{}', '{changed_by}',
        'content(type) metadata change_reason', '{}', '{}'
    ),
    (
        'chat.context_snapshots', 'blank', '{message_id = chat_message}', '{}', '{}', 'snapshot_data', '{}',
        '{}'
    ),
    (
        'agentic.agent_sessions', 'blank', '{user_id = person,"h.metadata ->> ''run_id'' = run"}',
        '{agentic_session = session_id}', '{user_id}', 'context(domain task_id) metadata(loader run_id)',
        '{"version": "h.version + 1"}', '{session_state}'
    ),
    (
        'agentic.agent_decisions', 'blank', '{session_id = agentic_session}', '{}', '{}',
        'input_context decision_rationale action_taken metadata(loader run_id)', '{}',
        '{decision_type,user_feedback}'
    ),
    (
        'agentic.conversation_history', 'blank', '{session_id = agentic_session}', '{}', '{}',
        'content metadata(loader run_id)', '{}', '{role,message_type,model_used}'
    ),
    (
        'agentic.trust_metrics', 'blank', '{session_id = agentic_session}', '{}', '{}', 'measurement_context',
        '{}', '{metric_type}'
    );

insert into ops.personal_data (table_name, fate, ties, only_where, shaped, kept)
values (
    'agentic.agent_audit_log', 'blank', '{user_id = person,session_id = agentic_session}',
    'h.action_type <> ''audit_redaction''',
    jsonb_build_object(
        'action_details', 'agentic.redacted_details(h.action_details)',
        'ip_address', 'null', 'user_agent', 'null', 'user_id', 'null',
        'salts', 'h.salts - ''{action_details,ip_address,user_agent,user_id}''::text[]'
    ),
    '{action_type,risk_level,previous_hash,row_hash,commitments}'
);

-- What was derived from persons' texts, or belongs to their organisation and may mention them.
insert into ops.personal_data (table_name, fate, ties, finds, person_columns, blanked, scrubbed, kept)
values
    (
        'chat.memory_consolidations', 'delete',
        '{source_memories[] = memory,consolidated_memory_id = memory}', '{memory = consolidated_memory_id}',
        '{}', null, '{}', '{}'
    ),
    (
        'chat.agent_memories', 'delete', '{source_message_id = chat_message,id = memory}', '{memory = id}',
        '{}', 'embeddings', '{content}', '{memory_type,related_memories}'
    ),
    (
        'chat.agent_states', 'blank', '{id = chat_state}', '{}', '{}', 'local_state session_state',
        '{local_state,session_state,shared_state,persistent_state}', '{version,state_hash}'
    ),
    (
        'chat.state_checkpoints', 'blank', '{state_id = chat_state}', '{}', '{}', 'state_data trigger_reason',
        '{state_data,trigger_reason}', '{checkpoint_type,compression_type,retention_policy}'
    ),
    (
        'chat.state_transitions', 'blank', '{from_state_id = chat_state,to_state_id = chat_state}', '{}',
        '{}', 'changes rollback_data trigger', '{changes,rollback_data,trigger}', '{transition_type}'
    ),
    (
        'chat.agents', 'blank', '{user_id = person}', '{}', '{user_id}', null,
        '{description,system_instructions,assistant_instructions,personality,avatar_url}', '{name}'
    ),
    ('chat.workspaces', 'blank', '{owner_user_id = person}', '{}', '{owner_user_id}', null, '{name}', '{}'),
    (
        'chat.workspace_members', 'delete', '{user_id = person}', '{}', '{}', null, '{}',
        '{role,added_by_user_id}'
    ),
    ('chat.chat_channels', 'blank', '{}', '{}', '{}', null, '{name,topic}', '{}'),
    (
        'chat.datastores', 'blank', '{user_id = person}', '{}', '{user_id}', null,
        '{name,description,config}', '{type,similarity_metric}'
    ),
    (
        'observability.workflows', 'blank', '{user_id = person}', '{}', '{user_id}', null,
        '{name,description,nodes,edges,tags}', '{}'
    ),
    (
        'traceability.success_patterns', 'blank', '{source_trace_id = exec_trace}', '{}', '{}',
        'prompt_text prompt_embedding context keywords', '{prompt_text,context,keywords}',
        '{pattern_hash,intent_classification,domain,agent_sequence,tool_sequence,routing_strategy,'
        'hook_sequence,endpoint_pattern,tags}'
    ),
    (
        'traceability.agent_chaining_patterns', 'blank', '{}', '{}', '{}', null, '{common_triggers}',
        '{chain_pattern,example_trace_ids,tags}'
    ),
    (
        'traceability.error_patterns', 'blank', '{}', '{}', '{}', null,
        '{error_message_pattern,resolution_pattern,prevention_strategies}',
        '{error_type,error_category,severity,affected_agents,hook_type,endpoint_url,example_trace_ids,tags}'
    ),
    (
        'agentic.agent_knowledge', 'blank', '{}', '{}', '{}', 'embedding', '{content}',
        '{knowledge_type,domain}'
    ),
    (
        'chat.context_templates', 'blank', '{}', '{}', '{}', null, '{description,segments,variables}',
        '{name,use_cases,agent_types}'
    ),
    ('agentic.agents', 'keep', '{}', '{}', '{}', null, '{}', '{name,persona_type,capabilities,config}'),
    ('agentic.audit_chain_heads', 'keep', '{}', '{}', '{}', null, '{}', '{row_hash}'),
    (
        'agentic.schema_versions', 'keep', '{}', '{}', '{}', null, '{}',
        '{version_number,description,applied_by}'
    ),
    ('chat.agent_datastores', 'keep', '{}', '{}', '{}', null, '{}', '{}'),
    (
        'observability.profiles', 'delete', '{id = person,lower(h.email) = email}',
        '{person = id,email = lower(h.email),name = h.name}', '{}', null, '{}', '{}'
    ),
    (
        'chat.users', 'delete', '{id = person,lower(h.email) = email}',
        '{person = id,email = lower(h.email),name = h.full_name}', '{}', null, '{}', '{}'
    ),
    (
        'agentic.users', 'delete', '{user_id = person,lower(h.email) = email}',
        '{person = user_id,email = lower(h.email),name = h.full_name}', '{}', null, '{}', '{}'
    ),
    ('ops.late_rows', 'ops', '{}', '{}', '{}', null, '{}', '{}'),
    ('ops.changes', 'ops', '{}', '{}', '{}', null, '{}', '{}'),
    ('ops.departed_keys', 'ops', '{}', '{}', '{}', null, '{}', '{}'),
    ('ops.forecasts', 'ops', '{}', '{}', '{}', null, '{}', '{}'),
    ('ops.budgets', 'ops', '{}', '{}', '{}', null, '{}', '{}'),
    ('ops.rejected_records', 'ops', '{}', '{}', '{}', null, '{}', '{}'),
    ('ops.legal_holds', 'ops', '{}', '{}', '{}', null, '{}', '{}'),
    ('ops.erasure_keys', 'ops', '{}', '{}', '{}', null, '{}', '{}');

-- Ids of things, hashes, and words of the project itself.
insert into ops.personal_data (table_name, fate)
select 'ops.' || t.name, 'keep'
from unnest(array[
    'adopted_objects', 'archive_files', 'as_of', 'backups', 'built_views', 'captured_tables',
    'chat_migration', 'collections', 'content_hashes', 'departed_audit_links', 'departures',
    'erasure_steps', 'erasures', 'frozen_for', 'learned_counts', 'learned_months',
    'lifecycle_transactions', 'loaded_runs', 'month_clocks', 'personal_data', 'pruned_patterns',
    'purges', 'pseudonym_salt', 'raw_schemas', 'refreshed_periods', 'refreshes',
    'retention_overrides', 'schema_changes', 'schema_objects', 'seals', 'table_layouts',
    'trust_checkpoints'
]) as t (name);

grant select, insert, update, delete on ops.backups to agentbooks_retention;
grant select on ops.erasures, ops.erasure_steps, ops.personal_data
to agentbooks_retention, agentbooks_refresher;
grant select on ops.erasure_keys to agentbooks_retention;

create function ops.tombstone() returns uuid
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
return 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid;

comment on function ops.tombstone() is
'Id of the user that stands for all who were erased, where ids are uuids; elsewhere it is `erased`. Null '
'would be a user who was never known.';

create function ops.subject_hash(subject text) returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
return (
    select encode(sha256(convert_to('erased ' || s.salt || ':' || subject, 'UTF8')), 'hex')
    from ops.pseudonym_salt as s
);

comment on function ops.subject_hash(text) is
'What a receipt calls a person: another hash than their user_key, with the same salt.';

create function ops.kept_paths(document jsonb, paths text[]) returns jsonb
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
declare
    kept jsonb := '{}';
    path text;
    parts text[];
begin
    if jsonb_typeof(document) is distinct from 'object' then
        return null;
    end if;
    foreach path in array paths loop
        if document ? path then
            kept := kept || jsonb_build_object(path, document -> path);
        end if;
        parts := string_to_array(path, '.');
        if cardinality(parts) > 1 and document #> parts is not null then
            for depth in 1..cardinality(parts) - 1 loop
                if kept #> parts[1:depth] is null then
                    kept := jsonb_set(kept, parts[1:depth], '{}');
                end if;
            end loop;
            kept := jsonb_set(kept, parts, document #> parts);
        end if;
    end loop;
    return kept;
end
$function$;

comment on function ops.kept_paths(jsonb, text[]) is
'Of an object, what stands at these keys, written with dots or nested, as writers do both; null for '
'anything else.';

create function ops.scrubbed(content text, words text[]) returns text
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
declare
    lowered constant text := lower(content);
    word text;
begin
    foreach word in array words loop
        if strpos(lowered, word) > 0 then
            -- A text may quote JSON, where a new line ends in a letter.
            content := regexp_replace(
                content,
                '(?:(?<![[:alnum:]_-])|(?<=\\(?:[bfnrt]|u[[:xdigit:]]{4})))'
                || regexp_replace(word, '([^[:alnum:]])', '\\\1', 'g') || '(?![[:alnum:]_-])',
                'erased', 'gi'
            );
        end if;
    end loop;
    return content;
end
$function$;

comment on function ops.scrubbed(text, text[]) is
'A text without these words, given in lower case; only where they stand by themselves, so that u-1 is not '
'found in u-12.';

create function ops.scrubbed(content text[], words text[]) returns text[]
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
return case
    when content is not null then array(
        select ops.scrubbed(u.element, words)
        from unnest(content) with ordinality as u (element, place)
        order by u.place
    )
end;

comment on function ops.scrubbed(text[], text[]) is 'A list of texts, each without these words.';

create function ops.scrubbed(content jsonb, words text[], quoted_words text[]) returns jsonb
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
declare
    written constant text := content;
    lowered constant text := lower(written);
begin
    if not exists (select from unnest(quoted_words) as w (word) where strpos(lowered, w.word) > 0) then
        return content;
    end if;
    -- Strings, and what stands between them; however deep they are.
    return (
        select string_agg(
            case
                when p.piece[1] like '"%'
                    then to_jsonb(ops.scrubbed(p.piece[1]::jsonb #>> '{}', words))::text
                else p.piece[1]
            end,
            '' order by p.place
        )::jsonb
        from regexp_matches(written, '"(?:[^"\\]|\\.)*"|[^"]+', 'g') with ordinality as p (piece, place)
    );
end
$function$;

comment on function ops.scrubbed(jsonb, text[], text[]) is
'A document of which no string and no key has these words, given also by ops.also_quoted; numbers stay. Of '
'keys that become the same one is left.';

create function ops.tie_condition(relation regclass, expression text, kind text, erasure bigint, keys text[])
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    column_name constant text := rtrim(expression, '[]');
    type regtype;
    found_keys text;
begin
    select a.atttypid into type
    from pg_attribute as a
    where a.attrelid = relation and a.attname = column_name and a.attnum > 0;
    found_keys := case
        when keys is not null and type in ('uuid'::regtype, 'uuid[]'::regtype)
            then format('%L::uuid[]', array(
                select k from unnest(keys) as k
                where k ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
            )::text)
        when keys is not null then format('%L::text[]', keys::text)
        else format(
            'select k.%s from ops.erasure_keys as k where k.erasure_id = %s and k.kind = %L and k.%1$s is not null',
            case when type in ('uuid'::regtype, 'uuid[]'::regtype) then 'uuid_key' else 'key' end, erasure, kind
        )
    end;
    return format(
        case when type = 'uuid[]'::regtype then '%s && %s(%s)' else '%s = %s(%s)' end,
        case when type is null then expression else 'h.' || quote_ident(column_name) end,
        case when type <> 'uuid[]'::regtype or type is null then 'any' when keys is null then 'array' end,
        found_keys
    );
end
$function$;

comment on function ops.tie_condition(regclass, text, text, bigint, text[]) is
'Condition on rows h of a relation, as SQL: by this column or expression they have one of these keys; '
'without keys, one that the erasure knows.';

create function ops.is_word(key text) returns boolean
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
return char_length(key) > 3 and key ~ '[^[:digit:][:punct:]]';

comment on function ops.is_word(text) is
'Whether an id can be told from other words: 42 counts something in most texts, and u1 may be anything.';

create function ops.also_quoted(words text[]) returns text[]
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
return array(
    select distinct f.form
    from unnest(words) as w (word)
    cross join lateral (
        select substr(to_jsonb(w.word)::text, 2, char_length(to_jsonb(w.word)::text) - 2) as escaped
    ) as q
    cross join unnest(case
        when w.word ~ '^[ !#-\[\]-~]*$' then array[w.word]
        else array[
            w.word,
            q.escaped,
            (
                select string_agg(
                    case
                        when ascii(c.letter) < 128 then c.letter
                        when ascii(c.letter) < 65536 then '\u' || lpad(to_hex(ascii(c.letter)), 4, '0')
                        else '\u' || to_hex(55232 + (ascii(c.letter) >> 10))
                            || '\u' || to_hex(56320 + (ascii(c.letter) & 1023))
                    end,
                    '' order by c.place
                )
                from string_to_table(q.escaped, null) with ordinality as c (letter, place)
            )
        ]
    end) as f (form)
);

comment on function ops.also_quoted(text[]) is
'Words, and how they stand in strings of JSON: as PostgreSQL escapes them, and as writers do that keep to '
'ASCII.';

create function ops.erasure_words(erasure bigint) returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
return array(
    select f.form
    from (
        select coalesce(array_agg(k.key) || array_agg(lower(k.key)), '{}') as words
        from ops.erasure_keys as k
        where k.erasure_id = erasure
            and (
                k.kind = 'person' and ops.is_word(k.key)
                or k.kind = 'email'
                or k.kind = 'name' and k.key like '%_ _%'
            )
    ) as w
    -- Documents hold others as strings, such as the arguments of a call, and a text may quote the whole.
    cross join unnest(ops.also_quoted(ops.also_quoted(w.words))) as u (word)
    cross join lower(u.word) as f (form)
    group by f.form
    -- An address before the id that it begins with.
    order by char_length(f.form) desc, f.form
);

comment on function ops.erasure_words(bigint) is
'What is taken out of the texts of others, in each form it may have there: ids, addresses, and full names. '
'A first name alone is too common a word, as is an id that is a number or very short: by those only rows '
'are found.';

create function ops.erasure_changes(erasure bigint, hot regclass, relation regclass, is_by_word boolean)
returns table (column_name text, expression text, is_compared boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
    with columns as (
        select
            a.attname::text as name,
            format_type(a.atttypid, a.atttypmod) as type,
            -- Rows of a file are asked for it only once they come back.
            coalesce(h.attnotnull, false) as is_required,
            a.attndims > 0 as is_list,
            d.person_columns,
            d.blanked,
            d.shaped,
            d.scrubbed
        from ops.personal_data as d
        inner join pg_attribute as a on a.attrelid = relation and a.attnum > 0 and not a.attisdropped
        left join pg_attribute as h on h.attrelid = hot and a.attname = h.attname
        where d.table_name = ops.relation_name(hot)
    ),

    known as (
        select
            array(
                select k.key
                from ops.erasure_keys as k
                where k.erasure_id = erasure and k.kind = 'person'
            )::text as persons
    ),

    searched as materialized (
        select w.words, ops.also_quoted(w.words) as quoted_words
        from (select ops.erasure_words(erasure) as words offset 0) as w
        where exists (
            select from columns as c
            where c.name = any(c.scrubbed)
        )
    )

    select
        c.name as column_name,
        format(
            '(case when btrim(h.%1$I::text) = any(%2$L::text[]) then %3$L else h.%1$I end)',
            c.name, k.persons, case c.type when 'uuid' then ops.tombstone()::text else 'erased' end
        ) as expression,
        true as is_compared
    from columns as c
    cross join known as k
    where c.name = any(c.person_columns) and not is_by_word
    union all
    select
        c.name,
        format(
            '%s::%s',
            case
                when p.kept_keys is not null and c.is_required
                    then format('coalesce(ops.kept_paths(h.%I, %L), %L)', c.name, p.kept_keys::text, '{}')
                when p.kept_keys is not null
                    then format('ops.kept_paths(h.%I, %L)', c.name, p.kept_keys::text)
                when not c.is_required then 'null'
                when c.type = 'jsonb' or c.is_list then quote_literal('{}')
                else quote_literal('[removed]')
            end,
            c.type
        ),
        not is_by_word
    from columns as c
    cross join ops.payload_parts(c.blanked) as p
    where c.name = p.column_name and (not is_by_word or c.type ~ '\mvector\M')
    union all
    select
        c.name,
        format('(%s)::%s', c.shaped ->> c.name, c.type),
        c.name <> 'version'
    from columns as c
    where c.shaped ? c.name and not is_by_word
    union all
    select
        c.name,
        case c.type
            when 'jsonb' then format('ops.scrubbed(h.%I, %L, %L)', c.name, s.words, s.quoted_words)
            when 'text[]' then format('ops.scrubbed(h.%I, %L)', c.name, s.words)
            else format('ops.scrubbed(h.%I::text, %L)::%s', c.name, s.words, c.type)
        end,
        true
    from columns as c
    cross join searched as s
    where c.name = any(c.scrubbed)
        and (is_by_word or c.name not in (select p.column_name from ops.payload_parts(c.blanked) as p));
end;

comment on function ops.erasure_changes(bigint, regclass, regclass, boolean) is
'What becomes of the columns of a row h that is a person''s, or that mentions one: expressions in SQL, '
'and whether a row that is so already counts as done.';

create function ops.erasure_condition(erasure bigint, hot regclass, relation regclass, is_by_word boolean)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select concat_ws(
        ' and ',
        format('h.tenant_id = %L', e.tenant_id),
        '(' || d.only_where || ')',
        case
            when d.fate <> 'delete' or is_by_word then coalesce((
                select '(' || string_agg(
                    case
                        -- Its operators are not in the path.
                        when c.expression like 'null::%vector%' then format('h.%I is not null', c.column_name)
                        else format('h.%I is distinct from %s', c.column_name, c.expression)
                    end, ' or '
                ) || ')'
                from ops.erasure_changes(erasure, hot, relation, is_by_word) as c
                where c.is_compared
            ), 'false')
        end
    )
    from ops.personal_data as d
    cross join ops.erasures as e
    where d.table_name = ops.relation_name(hot) and e.erasure_id = erasure
);

comment on function ops.erasure_condition(bigint, regclass, regclass, boolean) is
'Condition on rows h that are a person''s or mention one, as SQL: there is something left to be done.';

create function ops.erasable_rows(erasure bigint, hot regclass, relation regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select string_agg(
        format(
            'select h.tableoid, h.ctid from %s as h where %s and %s', relation, t.condition,
            ops.erasure_condition(erasure, hot, relation, t.is_by_word)
        ),
        ' union '
    )
    from (
        select
            ops.tie_condition(
                relation, split_part(u.tie, ' = ', 1), split_part(u.tie, ' = ', 2), erasure, null
            ) as condition,
            false as is_by_word
        from ops.personal_data as d
        cross join unnest(d.ties) as u (tie)
        where d.table_name = ops.relation_name(hot)
        union all
        select 'true', true
        from ops.personal_data as d
        where d.table_name = ops.relation_name(hot) and d.scrubbed <> '{}'
    ) as t
);

comment on function ops.erasable_rows(bigint, regclass, regclass) is
'Query of the places (tableoid, ctid) of rows of a table, or of its archive, in which an erasure still has '
'something to do; null if there can be none.';

create function ops.erase_rows(
    erasure bigint, hot regclass, relation regclass, tie int, after_key text default '',
    batch int default 500, out erased_rows bigint, out last_key text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    declared ops.personal_data;
    is_by_word constant boolean := tie = 0;
    is_staged constant boolean := relation = to_regclass('pg_temp.rows_to_erase');
    keys text[];
    condition text;
begin
    select * into declared from ops.personal_data as d where d.table_name = ops.relation_name(hot);
    if declared.table_name is null or not coalesce(relation in (hot, ops.archive_of(hot)) or is_staged, false) then
        raise exception 'erase_rows: % is not declared in ops.personal_data', relation
            using errcode = 'wrong_object_type';
    end if;
    erased_rows := 0;
    if is_by_word then
        condition := 'true';
    else
        keys := array(
            select k.key
            from ops.erasure_keys as k
            where k.erasure_id = erasure and k.kind = split_part(declared.ties[tie], ' = ', 2) and k.key > after_key
            order by k.key
            limit batch
        );
        if keys = '{}' then
            return;
        end if;
        last_key := keys[cardinality(keys)];
        condition := ops.tie_condition(relation, split_part(declared.ties[tie], ' = ', 1), null, erasure, keys);
    end if;
    condition := condition || ' and ' || ops.erasure_condition(erasure, hot, relation, is_by_word);

    perform ops.take_lifecycle_lock();
    perform ops.set_lifecycle(true);
    if declared.fate = 'delete' and not is_by_word then
        -- A key must not take along what nobody has looked at.
        execute format('delete from %s as h where %s%s', relation, condition, (
            select string_agg(
                format(
                    ' and not exists (select from %s as child where child.%I = h.%I)',
                    k.conrelid::regclass, c.attname, p.attname
                ),
                '' order by k.oid
            )
            from pg_constraint as k
            inner join pg_attribute as c on k.conrelid = c.attrelid and k.conkey[1] = c.attnum
            inner join pg_attribute as p on k.confrelid = p.attrelid and k.confkey[1] = p.attnum
            where k.confrelid = relation and k.contype = 'f' and k.confdeltype = 'c' and k.conparentid = 0
        ));
        get diagnostics erased_rows = row_count;
    else
        execute format(
            'with changed as (update %s as h set %s where %s returning h.*)%s select count(*) from changed', relation,
            (
                select string_agg(format('%I = %s', c.column_name, c.expression), ', ')
                from ops.erasure_changes(erasure, hot, relation, is_by_word) as c
            ),
            condition,
            -- Each chain says itself what is gone from it.
            case when ops.relation_name(hot) = 'agentic.agent_audit_log' then format(
                ', told as (insert into agentic.agent_audit_log '
                '(agent_id, session_id, action_type, action_details, tenant_id) '
                'select c.agent_id, c.session_id, %L, jsonb_build_object(%L, c.audit_id, %L, to_jsonb(%L::text[]), '
                '%L, %L::text, %L, session_user), c.tenant_id from changed as c order by c.session_id, c.sequence)',
                'audit_redaction', 'audit_id', 'columns', '{action_details,ip_address,user_agent,user_id}',
                'reason', 'erasure ' || erasure, 'role'
            ) else '' end
        ) into erased_rows;
    end if;
    perform ops.set_lifecycle(false);

    if erased_rows > 0 and not coalesce(is_staged, false) then
        perform ops.note_erasure(
            erasure, ops.relation_name(relation), case when is_by_word then 'scrub' else declared.fate end, erased_rows
        );
    end if;
end
$function$;

comment on function ops.erase_rows(bigint, regclass, regclass, int, text, int) is
'Deletes or blanks the rows of a table, its archive, or of a staged file, that one of its ties gives, for '
'the next batch of keys after one; tie 0 takes words out of what mentions a person. Returns how many '
'rows, and the last key: null when there are no more.';

create function ops.note_erasure(erasure bigint, place text, action text, counted bigint) returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    insert into ops.erasure_steps as s (erasure_id, place, action, rows)
    values (erasure, note_erasure.place, note_erasure.action, counted)
    on conflict (erasure_id, place, action) do update
    set rows = s.rows + excluded.rows, done_at = clock_timestamp();
end;

comment on function ops.note_erasure(bigint, text, text, bigint) is 'Adds to what an erasure did in a place.';

-- Who is meant, and what is theirs

create function ops.subject_tenants(subjects text[]) returns table (subject text, tenant_id text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    place record;
begin
    for place in
        select
            r.relation,
            ops.tie_condition(r.relation, split_part(u.tie, ' = ', 1), null, 0, subjects) as condition,
            case when split_part(u.tie, ' = ', 1) ~ '^[a-z_]+$' then 'h.' else '' end || split_part(u.tie, ' = ', 1)
                as expression
        from ops.personal_data as d
        cross join unnest(d.ties) as u (tie)
        cross join unnest(array[d.table_name::regclass, ops.archive_of(d.table_name::regclass)]) as r (relation)
        where u.tie like '% = person' and r.relation is not null
    loop
        return query execute format(
            'select distinct (%s)::text, h.tenant_id from %s as h where %s', place.expression, place.relation, place.condition
        );
    end loop;
end
$function$;

comment on function ops.subject_tenants(text[]) is
'Which of these persons are known in the database, and to which tenants.';

create function ops.open_erasure(subjects text[], tenant text) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    erasure bigint;
    hashes constant text[] := array(select ops.subject_hash(s) from unnest(subjects) as s order by 1);
begin
    -- What was begun is gone on with.
    select e.erasure_id into erasure
    from ops.erasures as e
    where e.tenant_id = tenant and e.subject_hashes @> hashes and e.state = 'running'
    limit 1;
    if erasure is null then
        insert into ops.erasures (subject_hashes, tenant_id) values (hashes, tenant) returning erasure_id into erasure;
    end if;
    insert into ops.erasure_keys (erasure_id, kind, key)
    select erasure, 'person', s from unnest(subjects) as s
    on conflict do nothing;

    -- Who stands for all who were erased, where a key asks for somebody.
    insert into chat.users (id, username, tenant_id) values (ops.tombstone(), 'erased', 'erased')
    on conflict do nothing;
    insert into observability.profiles (id, email, tenant_id) values (ops.tombstone(), 'erased', 'erased')
    on conflict do nothing;
    insert into agentic.users (user_id, email, tenant_id) values (ops.tombstone(), 'erased', 'erased')
    on conflict do nothing;
    return erasure;
end
$function$;

comment on function ops.open_erasure(text[], text) is
'Begins the erasure of these persons of a tenant, or finds the one that was begun; returns its number.';

create function ops.note_erasure_keys(erasure bigint, kind text, keys text[]) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    noted bigint;
begin
    insert into ops.erasure_keys (erasure_id, kind, key)
    select erasure, note_erasure_keys.kind, k from unnest(keys) as k where k <> ''
    on conflict do nothing;
    get diagnostics noted = row_count;
    return noted;
end
$function$;

comment on function ops.note_erasure_keys(bigint, text, text[]) is
'Adds keys that were found in files; returns how many were not known.';

create function ops.find_erasure_keys(erasure bigint, kinds text[] default null) returns text[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    place record;
    new_kinds text[];
    found_kinds text[] := '{}';
begin
    insert into ops.erasure_keys (erasure_id, kind, key)
    select erasure, 'user_key', encode(sha256(convert_to(s.salt || ':' || k.key, 'UTF8')), 'hex')
    from ops.erasure_keys as k
    cross join ops.pseudonym_salt as s
    where k.erasure_id = erasure and k.kind = 'person'
    on conflict do nothing;

    for place in
        select
            r.relation,
            u.tie,
            (
                select string_agg(
                    format(
                        '(%L, (%s%s)::text)', split_part(f.found, ' = ', 1),
                        case when split_part(f.found, ' = ', 2) ~ '^[a-z_]+$' then 'h.' end,
                        substring(f.found from ' = (.*)')
                    ), ', '
                )
                from unnest(d.finds) as f (found)
            ) as found
        from ops.personal_data as d
        cross join unnest(d.ties) as u (tie)
        cross join unnest(array[d.table_name::regclass, ops.archive_of(d.table_name::regclass)]) as r (relation)
        where d.finds <> '{}' and r.relation is not null
            and coalesce(split_part(u.tie, ' = ', 2) = any(kinds), true)
            -- Not asked for what nobody has.
            and exists (
                select from ops.erasure_keys as k
                where k.erasure_id = erasure and k.kind = split_part(u.tie, ' = ', 2)
            )
        order by d.place
    loop
        execute format(
            'with noted as (insert into ops.erasure_keys (erasure_id, kind, key) '
            'select distinct %1$s, f.kind, f.key from %2$s as h cross join lateral (values %3$s) as f (kind, key) '
            'where %4$s and f.key <> %5$L '
            'and h.tenant_id = (select e.tenant_id from ops.erasures as e where e.erasure_id = %1$s) '
            'on conflict do nothing returning kind) select coalesce(array_agg(distinct kind), %6$L) from noted',
            erasure, place.relation, place.found,
            ops.tie_condition(
                place.relation, split_part(place.tie, ' = ', 1), split_part(place.tie, ' = ', 2), erasure, null
            ),
            '', '{}'
        ) into new_kinds;
        found_kinds := found_kinds || new_kinds;
    end loop;
    return found_kinds;
end
$function$;

comment on function ops.find_erasure_keys(bigint, text[]) is
'Looks for what is the persons'' in the database by keys of these kinds, or of all, one step far; returns of '
'which kinds that gave new keys. Call it with these again until it gives none.';

create function ops.plan_erasure(erasure bigint)
returns table (table_name text, fate text, erasable_rows bigint, hold_id bigint, held_rows bigint)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    place record;
begin
    for place in
        select d.table_name::regclass as hot, r.relation, d.fate,
            ops.erasable_rows(erasure, d.table_name::regclass, r.relation) as rows_sql
        from ops.personal_data as d
        cross join unnest(array[d.table_name::regclass, ops.archive_of(d.table_name::regclass)]) as r (relation)
        where r.relation is not null and d.fate in ('blank', 'delete')
        order by d.place, r.relation <> d.table_name::regclass
    loop
        continue when place.rows_sql is null;
        table_name := ops.relation_name(place.relation);
        fate := place.fate;
        hold_id := null;
        held_rows := null;
        execute format('select count(*) from (%s) as r', place.rows_sql) into erasable_rows;
        continue when erasable_rows = 0;
        return next;
        for hold_id, held_rows in
            select *
            from ops.holds_on(place.hot, format(
                'select r.* from %s as r where (r.tableoid, r.ctid) in (%s)', place.relation, place.rows_sql
            ))
        loop
            return next;
        end loop;
    end loop;
end
$function$;

comment on function ops.plan_erasure(bigint) is
'One row per table with rows of the persons, and one more per legal hold that covers some of them.';

-- What the project itself has written down

create function ops.erase_from_ops(erasure bigint) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    words text[];
    persons constant text[] := array(
        select k.key from ops.erasure_keys as k where k.erasure_id = erasure and k.kind = 'person'
    );
    tombstone constant text := ops.tombstone();
    tenant constant text := (select e.tenant_id from ops.erasures as e where e.erasure_id = erasure);
    counted bigint;
    kept record;
begin
    perform ops.take_lifecycle_lock();
    -- Bytes are looked at as bytes.
    words := array(
        select convert_from(convert_to(w.word, 'UTF8'), 'LATIN1')
        from unnest(ops.erasure_words(erasure) || array(
            select lower(k.key)
            from ops.erasure_keys as k
            where k.erasure_id = erasure
                and k.kind in (
                    'person', 'run', 'obs_trace', 'exec_trace', 'exec_link', 'raaf_trace', 'chat_session',
                    'agentic_session'
                )
        )) as w (word)
    );

    -- A late row and a change are known by keys, of which the user is one.
    delete from ops.late_rows as l
    using ops.erasure_keys as k, ops.late_rows as o
    where k.erasure_id = erasure and k.kind = 'person' and l.row ->> 'user_id' = k.key
        and (o.target, o.period, o.table_name) = (l.target, l.period, l.table_name)
        and o.row = jsonb_set(l.row, '{user_id}', to_jsonb(ops.tombstone()));
    update ops.late_rows as l set row = jsonb_set(l.row, '{user_id}', to_jsonb(ops.tombstone()))
    from ops.erasure_keys as k
    where k.erasure_id = erasure and k.kind = 'person' and l.row ->> 'user_id' = k.key;
    get diagnostics counted = row_count;
    perform ops.note_erasure(erasure, 'ops.late_rows', 'blank', counted) where counted > 0;
    update ops.changes as c set keys = jsonb_set(c.keys, '{user_id}', to_jsonb(ops.tombstone()))
    from ops.erasure_keys as k
    where k.erasure_id = erasure and k.kind = 'person' and c.keys ->> 'user_id' = k.key;
    get diagnostics counted = row_count;
    perform ops.note_erasure(erasure, 'ops.changes', 'blank', counted) where counted > 0;

    -- What is left of rows that have gone names their users; those of several become one.
    select count(*) into counted
    from ops.departed_keys as d
    where d.tenant_id = tenant and (d.found_by && persons or d.key = any(persons));
    with found as (
        delete from ops.departed_keys as d
        where d.tenant_id = tenant and (d.found_by && (persons || tombstone) or d.key = any(persons || tombstone))
        returning d.*
    ),

    renamed as (
        select
            f.table_name,
            f.month,
            case when f.key = any(persons) then tombstone else f.key end as key,
            f.day,
            (
                select coalesce(
                    jsonb_object_agg(
                        e.key, case when e.value #>> '{}' = any(persons) then to_jsonb(tombstone) else e.value end
                    ), '{}'
                )
                from jsonb_each(f.followed_by) as e
            ) as followed_by,
            case when i.id = any(persons) then tombstone else i.id end as id,
            f.is_orphaned,
            f.tenant_id
        from found as f
        cross join unnest(f.found_by) as i (id)
    )

    insert into ops.departed_keys (table_name, month, key, day, followed_by, found_by, is_orphaned, tenant_id)
    select
        r.table_name, r.month, r.key, r.day, r.followed_by, array_agg(distinct r.id), bool_and(r.is_orphaned),
        r.tenant_id
    from renamed as r
    group by r.table_name, r.month, r.key, r.day, r.followed_by, r.tenant_id;
    perform ops.note_erasure(erasure, 'ops.departed_keys', 'blank', counted) where counted > 0;

    -- A forecast of one person, or a limit for one, says nothing without them.
    delete from ops.forecasts as f
    using ops.erasure_keys as k
    where k.erasure_id = erasure and k.kind = 'user_key' and f.scope_kind = 'user' and f.scope_key = k.key;
    get diagnostics counted = row_count;
    perform ops.note_erasure(erasure, 'ops.forecasts', 'delete', counted) where counted > 0;
    delete from ops.budgets as b
    using ops.erasure_keys as k
    where k.erasure_id = erasure and k.kind = 'user_key' and b.scope_kind = 'user' and b.scope_key = k.key;
    get diagnostics counted = row_count;
    perform ops.note_erasure(erasure, 'ops.budgets', 'delete', counted) where counted > 0;

    -- A record that was refused is bytes in any encoding: one that names any of it loses them all.
    counted := 0;
    for kept in
        select r.record_sha256, r.source_file, r.source_line, convert_from(
            decode(replace(encode(r.record_head, 'hex'), '00', ''), 'hex'), 'LATIN1'
        ) || ' ' || r.reason as content
        from ops.rejected_records as r
        where r.record_head <> ''
    loop
        if exists (
            select from unnest(words) as w (word)
            where strpos(lower(kept.content), w.word) > 0
                and (ops.is_word(w.word) or ops.scrubbed(kept.content, array[w.word]) <> kept.content)
        ) then
            update ops.rejected_records as r set record_head = '', reason = 'erased'
            where (r.record_sha256, r.source_file, r.source_line)
                = (kept.record_sha256, kept.source_file, kept.source_line);
            counted := counted + 1;
        end if;
    end loop;
    perform ops.note_erasure(erasure, 'ops.rejected_records', 'blank', counted) where counted > 0;

    update ops.legal_holds as h set subject_id = 'erased', reason = ops.scrubbed(h.reason, ops.erasure_words(erasure))
    from ops.erasure_keys as k
    where
        k.erasure_id = erasure and k.kind = 'person' and h.subject_id = k.key and h.released_at is not null
        -- A hold names no tenant: it may have been about another's user of the same id.
        and not exists (select from ops.subject_tenants(array[h.subject_id]) as s where s.tenant_id <> tenant);
    get diagnostics counted = row_count;
    perform ops.note_erasure(erasure, 'ops.legal_holds', 'blank', counted) where counted > 0;
end
$function$;

comment on function ops.erase_from_ops(bigint) is
'Takes persons out of what the project has noted of their rows: late rows, changes, forecasts, budgets, '
'rejected records and holds that have ended.';


-- The marts. In the name of whoever refreshes: the tables are theirs.

create table ops.pooled_models (
    model text not null primary key,
    person_column text not null,
    keys jsonb not null default '{}'
);

comment on table ops.pooled_models is
'One row per model whose sealed or frozen days are about persons, and cannot be computed again: their '
'rows are pooled in place. Of others that are about a person, the person''s rows go.';
comment on column ops.pooled_models.model is 'Its name.';
comment on column ops.pooled_models.person_column is 'user_key, or the scope_key of a model by scopes.';
comment on column ops.pooled_models.keys is
'By key column, what it is the hash of, as in the model: pooled rows are added up, and get the key of the '
'sum. Empty where rows stay apart.';

insert into ops.pooled_models (model, person_column, keys)
select
    m.model,
    m.person_column,
    coalesce(
        (
            select jsonb_object_agg(k.name, replace(
                replace(k.parts, '{day}', m.day || ' - date ''2000-01-01'''), '{who}',
                'source_system, tenant_key, workflow, domain, agent_key, user_key'
            ))
            from jsonb_each_text(m.keys) as k (name, parts)
        ),
        '{}'
    )
from (values
    ('agent_runs', 'user_key', 'run_date', '{}'::jsonb),
    ('users_daily', 'user_key', 'usage_date', '{"users_daily_key": "{day}, {who}"}'),
    ('cost_daily', 'user_key', 'usage_date', '{"cost_daily_key": "{day}, {who}, model_recorded, payer"}'),
    (
        'cost_monthly', 'user_key', 'usage_month',
        '{"cost_monthly_key": "{day}, {who}, provider, model, model_recorded, payer"}'
    ),
    (
        'int_costs__banded', 'user_key', 'usage_date',
        '{"costs_banded_key": "{day}, {who}, model_recorded, payer, cost_basis, '
        'extract(epoch from price_known_from), input_tokens_from, time_from_utc", '
        '"cost_daily_key": "{day}, {who}, model_recorded, payer"}'
    ),
    (
        'cost_by_tenant_daily', 'scope_key', 'usage_date',
        '{"cost_by_tenant_daily_key": "{day}, tenant_key, scope_kind, scope_key, source_system"}'
    ),
    (
        'cost_by_scope_daily', 'scope_key', 'usage_date',
        '{"cost_by_scope_daily_key": "scope_kind, scope_key, {day}"}'
    )
) as m (model, person_column, day, keys);

grant select on ops.pooled_models, ops.erasure_keys to agentbooks_refresher;

create function ops.person_condition(relation regclass, person_column text, tenant text) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select format('t.%I = any($1)', person_column)
        || coalesce(
            string_agg(
                case a.attname
                    when 'scope_kind' then ' and t.scope_kind = ''user'''
                    else format(' and t.tenant_key = %L', tenant)
                end, ''
            ),
            ''
        )
    from pg_attribute as a
    where
        a.attrelid = relation
        and (a.attname = 'tenant_key' or a.attname = 'scope_kind' and person_column = 'scope_key')
);

comment on function ops.person_condition(regclass, text, text) is
'Condition on rows t of a mart that are about one of the users in $1, as SQL.';

create function ops.pool_persons(
    relation regclass, declared ops.pooled_models, person_column text, user_keys text[], tenant text,
    part text
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    is_theirs constant text := part || ' and ' || ops.person_condition(relation, person_column, tenant);
    pooled bigint;
begin
    if declared.model is null then
        execute format('delete from %s as t where %s', relation, is_theirs) using user_keys;
        get diagnostics pooled = row_count;
        return pooled;
    end if;
    if declared.keys = '{}' then
        execute format('update %s as t set %I = ''erased'' where %s', relation, person_column, is_theirs) using user_keys;
        get diagnostics pooled = row_count;
        return pooled;
    end if;

    execute 'drop table if exists pg_temp.pooled_rows';
    execute format('create temp table pooled_rows on commit drop as select * from %s with no data', relation);
    execute format('with gone as (delete from %s as t where %s returning t.*) insert into pooled_rows select * from gone',
        relation, is_theirs) using user_keys || 'erased'::text;
    get diagnostics pooled = row_count;
    execute (
        select format(
            'insert into %s (%s) select %s from (select %s from pooled_rows as t group by %s) as s', relation,
            string_agg(quote_ident(c.name), ', ' order by c.place),
            string_agg(
                case
                    when c.key_parts is not null then format('md5(row(%s)::text)', c.key_parts)
                    else 's.' || quote_ident(c.name)
                end, ', ' order by c.place
            ),
            string_agg(
                case
                    when c.name = person_column then format('''erased'' as %I', c.name)
                    when c.is_sum then format('sum(t.%1$I)::%2$s as %1$I', c.name, c.type)
                    else 't.' || quote_ident(c.name)
                end, ', ' order by c.place
            ) filter (where c.key_parts is null),
            string_agg('t.' || quote_ident(c.name), ', ' order by c.place)
            filter (where c.key_parts is null and not c.is_sum and c.name <> person_column)
        )
        from (
            select
                a.attname::text as name,
                a.attnum as place,
                a.atttypid::regtype::text as type,
                declared.keys ->> a.attname::text as key_parts,
                a.atttypid in ('bigint'::regtype, 'integer'::regtype, 'numeric'::regtype)
                and a.attname !~ '^seal_number$|_from$|_to$|_utc$' as is_sum
            from pg_attribute as a
            where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
        ) as c
    );
    return pooled;
end
$function$;

comment on function ops.pool_persons(regclass, ops.pooled_models, text, text[], text, text) is
'Gives the rows of these users in a part of a mart, or of its seals, to the user `erased`, and adds them '
'to those that are there already; of a model that is not declared they go. Returns how many.';

create function ops.note_pooled_seal(seal bigint, counted bigint, hashed numeric) returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    update ops.seals as s set sealed_rows = counted, checksum = hashed
    where s.seal_number = seal;
end;

comment on function ops.note_pooled_seal(bigint, bigint, numeric) is
'Notes what a seal holds since persons were pooled in it.';

create function ops.erase_from_marts(erasure bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    tenant text;
    user_keys text[];
    place record;
    seal record;
    frozen date[];
    sums record;
    pooled bigint;
begin
    -- As what moves rows: no refresh runs meanwhile.
    perform pg_advisory_xact_lock(hashtextextended('ops.lifecycle', 0));
    select e.tenant_id into tenant from ops.erasures as e where e.erasure_id = erasure;
    user_keys := array(select k.key from ops.erasure_keys as k where k.erasure_id = erasure and k.kind = 'user_key');

    for place in
        select r.target, r.relation::regclass as relation, r.grain, r.grain_column, a.attname::text as person_column, m as declared
        from ops.refreshes as r
        inner join pg_attribute as a
            on r.relation = a.attrelid and a.attname in ('user_key', 'scope_key') and not a.attisdropped
        left join ops.pooled_models as m on m.model = split_part(r.target, '.', 2)
        where to_regclass(r.target) = r.relation and split_part(r.target, '.', 1) in ('intermediate', 'marts')
        order by r.target
    loop
        if (place.declared).keys = '{}' then
            -- Runs are where a user comes into the marts: the rest follows from them by a refresh.
            execute format(
                'with pooled as (update %s as t set user_key = ''erased'' where %s '
                'returning t.source_system, t.run_id, t.agent_domain_key, t.workflow, t.run_date as day), '
                'published as (insert into ops.changes (table_name, keys) '
                'select %L, to_jsonb(k) from (select distinct * from pooled) as k) select count(*) from pooled',
                place.relation, ops.person_condition(place.relation, 'user_key', tenant), place.target
            ) using user_keys into pooled;
        else
            frozen := array(
                select p.period from ops.refreshed_periods as p where p.target = place.target and p.state = 'frozen'
            );
            continue when place.grain <> 'period' or frozen = '{}';
            pooled := ops.pool_persons(
                place.relation, place.declared, place.person_column, user_keys, tenant,
                ops.in_periods('t.' || quote_ident(place.grain_column), frozen, true)
            );
            if pooled > 0 then
                insert into ops.changes (table_name, keys, is_recount) values (place.target, null, true);
            end if;
        end if;
        if pooled > 0 then
            perform ops.note_erasure(erasure, place.target, 'pool', pooled);
        end if;
    end loop;

    for place in
        select s.target, c.oid::regclass as relation, a.attname::text as person_column, m as declared
        from (select distinct z.target from ops.seals as z) as s
        inner join pg_class as c on c.oid = to_regclass(ops.sealed_table(s.target))
        inner join pg_attribute as a
            on c.oid = a.attrelid and a.attname in ('user_key', 'scope_key') and not a.attisdropped
        left join ops.pooled_models as m on m.model = split_part(s.target, '.', 2)
        order by s.target
    loop
        for seal in execute format(
            'select z.* from ops.seals as z where z.target = %L and z.seal_number in '
            '(select t.seal_number from %s as t where %s)',
            place.target, place.relation, ops.person_condition(place.relation, place.person_column, tenant)
        ) using user_keys
        loop
            pooled := ops.pool_persons(
                place.relation, place.declared, place.person_column, user_keys, tenant,
                format('t.seal_number = %s', seal.seal_number)
            );
            perform ops.note_erasure(erasure, ops.relation_name(place.relation), 'pool', pooled);
            sums := ops.rows_checksum(format(
                'select %s from %s where seal_number = %s',
                (select string_agg(quote_ident(n), ', ' order by o) from unnest(seal.column_names) with ordinality as u (n, o)),
                place.relation, seal.seal_number
            ));
            perform ops.note_pooled_seal(seal.seal_number, sums.counted, sums.checksum);
        end loop;
    end loop;
end
$function$;

comment on function ops.erase_from_marts(bigint) is
'Gives the runs of an erasure''s users to the user `erased`, in all days, and pools what is sealed or '
'frozen and cannot be computed again. The next refresh does the rest.';

create function ops.marts_with_persons(erasure bigint) returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    tenant text;
    user_keys text[];
    elsewhere text[] := '{}';
    place record;
    is_left boolean;
begin
    select e.tenant_id into tenant from ops.erasures as e where e.erasure_id = erasure;
    user_keys := array(select k.key from ops.erasure_keys as k where k.erasure_id = erasure and k.kind = 'user_key');
    -- Another tenant's user of the same id stays, also where marts do not tell tenants apart.
    if to_regclass('marts.agent_runs') is not null then
        execute 'select coalesce(array_agg(distinct user_key), ''{}'') from marts.agent_runs '
            'where user_key = any($1) and tenant_key is distinct from $2' using user_keys, tenant into elsewhere;
    end if;
    for place in
        select
            r.target,
            a.attname::text as person_column,
            array(
                select k from unnest(user_keys) as k
                where k <> all(elsewhere) or exists (
                    select from pg_attribute as t where t.attrelid = r.relation and t.attname = 'tenant_key'
                )
            ) as user_keys
        from ops.refreshes as r
        inner join pg_attribute as a
            on r.relation = a.attrelid and a.attname in ('user_key', 'scope_key', 'dimension_value')
        where to_regclass(r.target) = r.relation and split_part(r.target, '.', 1) in ('intermediate', 'marts')
        order by r.target
    loop
        execute format(
            'select exists (select from %s as t where %s)', place.target,
            ops.person_condition(place.target, place.person_column, tenant)
        ) using place.user_keys into is_left;
        if is_left then
            return next place.target;
        end if;
    end loop;
end
$function$;

comment on function ops.marts_with_persons(bigint) is
'Which refreshed tables still have a row of an erasure''s users.';

create function ops.end_erasure(erasure bigint, is_refreshed boolean) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    delete from ops.erasure_keys as k
    where k.erasure_id = erasure and (is_refreshed or k.kind <> 'user_key');
    update ops.erasures as e
    set
        state = case when is_refreshed then 'done' else 'refreshing' end,
        done_at = case when is_refreshed then clock_timestamp() end,
        backups = (
            select coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'name', b.name, 'location', b.location,
                        'expires_on', ((clock_timestamp() + b.kept_for) at time zone 'UTC')::date
                    )
                    order by b.name
                ),
                '[]'
            )
            from ops.backups as b
        )
    where e.erasure_id = erasure and e.state <> 'done';
end
$function$;

comment on function ops.end_erasure(bigint, boolean) is
'Forgets the ids that an erasure needed: all, once the marts have none of its users, and before that all '
'but their user_keys. What no id leads to any more cannot be found again.';


-- Files

create function ops.stage_erasure(hot regclass, url text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    column_sql text;
begin
    -- What the file has in its own types, else its checksums are others; what is computed is computed again.
    select string_agg(
        case
            when t.key is not null then ops.file_columns(hot, jsonb_build_object(t.key, t.value))
            else format('%I %s', h.attname, format_type(h.atttypid, h.atttypmod))
        end
        || case
            when h.attgenerated = '' or h.attname is null then ''
            else format(' generated always as (%s) stored', pg_get_expr(d.adbin, d.adrelid))
        end,
        ', '
    ) into column_sql
    from (
        select * from pg_attribute as a where a.attrelid = hot and a.attnum > 0 and not a.attisdropped
    ) as h
    full join (
        select s.key, s.value
        from ops.archive_files as f
        cross join jsonb_each_text(f.schema) as s
        where f.url = stage_erasure.url
    ) as t on h.attname = t.key
    left join pg_attrdef as d on h.attrelid = d.adrelid and h.attnum = d.adnum;
    drop table if exists pg_temp.rows_to_erase;
    execute format('create temp table rows_to_erase (%s, place_in_file bigint)', column_sql);
    grant select, insert, delete on pg_temp.rows_to_erase to agentbooks_retention;
end
$function$;

comment on function ops.stage_erasure(regclass, text) is
'Makes the temporary table rows_to_erase for rows of a file: copy them there, and call ops.erase_rows.';

create function ops.note_replaced_file(
    erasure bigint, url text, old_sha256 text, new_url text, counted bigint, new_rows bigint,
    new_bytes bigint, new_sha256 text, new_checksums jsonb
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    update ops.archive_files as f
    set
        url = new_url, rows = new_rows, bytes = new_bytes, sha256 = note_replaced_file.new_sha256, checksums = new_checksums
    where f.url = note_replaced_file.url and f.sha256 = note_replaced_file.old_sha256 and f.state = 'verified';
    if not found then
        raise exception 'note_replaced_file: % is not the file any more that was read; run it again', url
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    insert into ops.erasure_steps (erasure_id, place, action, rows, old_sha256, new_sha256, new_place)
    values (
        erasure, note_replaced_file.url, 'replace', counted, note_replaced_file.old_sha256,
        note_replaced_file.new_sha256, new_url
    );
end
$function$;

comment on function ops.note_replaced_file(bigint, text, text, text, bigint, bigint, bigint, text, jsonb) is
'Enters the file that takes the place of another, if that is still what was read: from now on the new one is '
'read. The old one is then deleted, and ops.note_deleted_file says so.';

create function ops.note_deleted_file(erasure bigint, url text) returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    with replaced as (
        delete from ops.erasure_steps as s
        where s.erasure_id = erasure and s.place = note_deleted_file.url and s.action = 'replace'
        returning s.*
    )

    insert into ops.erasure_steps as s (erasure_id, place, action, rows, old_sha256, new_sha256, new_place)
    select r.erasure_id, r.place, 'replaced', r.rows, r.old_sha256, r.new_sha256, r.new_place
    from replaced as r
    -- A month that came back and left again has a file of the same name.
    on conflict (erasure_id, place, action) do update
    set
        rows = s.rows + excluded.rows, new_sha256 = excluded.new_sha256, new_place = excluded.new_place,
        done_at = clock_timestamp();
end;

comment on function ops.note_deleted_file(bigint, text) is 'Notes that a file that was replaced is gone.';


-- Legal holds

create function ops.known_as(subject text) returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    people text;
    known text[];
    found_ids text[] := array[subject];
begin
    select string_agg(
        format(
            'select (%s)::text as id, %s as email from %s as h',
            ops.of_row('h', substring(p.found from ' = (.*)')), substring(e.found from ' = (.*)'), d.table_name
        ),
        ' union all '
    ) into people
    from ops.personal_data as d
    cross join unnest(d.finds) as p (found)
    cross join unnest(d.finds) as e (found)
    where p.found like 'person = %' and e.found like 'email = %';
    while found_ids <> coalesce(known, '{}') loop
        known := found_ids;
        execute format(
            'with people as (%s) select array(select unnest($1) union select o.id from people as p '
            'inner join people as o on p.email = o.email where p.id = any($1) order by 1)', people
        ) into found_ids using known;
    end loop;
    return known;
end
$function$;

comment on function ops.known_as(text) is
'All ids of a user: one system''s leads to another''s by the e-mail address, as it does for an erasure.';

create function ops.held_ids(hold ops.legal_holds) returns table (kinds text[], ids text[])
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    if hold.subject_id is not null then
        kinds := '{person}';
        ids := ops.known_as(hold.subject_id);
        return next;
    end if;
    if hold.session_id is not null then
        kinds := '{chat_session,agentic_session}';
        ids := array[hold.session_id];
        return next;
    end if;
    if hold.trace_id is not null then
        kinds := '{obs_trace,exec_trace,exec_link,raaf_trace}';
        -- A tree is held whole, as it moves whole.
        ids := hold.trace_id || array(
            select t.root_id::text
            from history.traceability__execution_traces as t
            where t.id = any(ops.uuids(array[hold.trace_id])) or t.correlation_id = any(ops.uuids(array[hold.trace_id]))
        );
        return next;
    end if;
end
$function$;

comment on function ops.held_ids(ops.legal_holds) is
'One row per thing that a hold names, of which kinds of key in ops.personal_data it may be, and by which ids '
'it is known.';

create function ops.uuids(keys text[]) returns uuid[]
language sql
immutable
set search_path = pg_catalog, pg_temp
return array(
    select k::uuid
    from unnest(keys) as k
    where k ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
);

comment on function ops.uuids(text[]) is 'Those of some keys that are uuids.';

create function ops.of_row(alias text, expression text) returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
    when expression ~ '^[a-z_]+(\[\])?$' then format('%s.%I', alias, rtrim(expression, '[]'))
    else regexp_replace(expression, '\mh\.', alias || '.', 'g')
end;

comment on function ops.of_row(text, text) is
'A column or expression of ops.personal_data, for rows that are called otherwise than h.';

create function ops.type_of(relation regclass, expression text) returns regtype
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select case a.atttypid when 'varchar'::regtype then 'text'::regtype else a.atttypid::regtype end
    from pg_attribute as a
    where a.attrelid = relation and a.attname = rtrim(expression, '[]') and a.attnum > 0
);

comment on function ops.type_of(regclass, text) is
'Type of a column; null for an expression, which is a text.';

create function ops.is_any(relation regclass, alias text, expression text, keys text[]) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case ops.type_of(relation, expression)
    when 'uuid'::regtype
        then format('%s = any(%L::uuid[])', ops.of_row(alias, expression), ops.uuids(keys))
    when 'uuid[]'::regtype then format('%s && %L::uuid[]', ops.of_row(alias, expression), ops.uuids(keys))
    else format('(%s)::text = any(%L::text[])', ops.of_row(alias, expression), keys)
end;

comment on function ops.is_any(regclass, text, text, text[]) is
'Condition on rows of a relation, as SQL: a column or expression of theirs is one of these keys.';

create function ops.held_by(
    held regclass, alias text, kinds text[], ids text[], path text[] default '{}',
    reached_by text default null
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    parent_alias constant text := 'p' || cardinality(path) + 1;
    conditions text[] := '{}';
    condition text;
    link record;
begin
    for link in
        with ties as (
            select split_part(u.tie, ' = ', 1) as expression, split_part(u.tie, ' = ', 2) as kind
            from ops.personal_data as d
            cross join unnest(d.ties) as u (tie)
            where d.table_name = ops.relation_name(held)
            union all
            -- What is held itself.
            select substring(f.found from ' = (.*)'), split_part(f.found, ' = ', 1)
            from ops.personal_data as d
            cross join unnest(d.finds) as f (found)
            where d.table_name = ops.relation_name(held) and split_part(f.found, ' = ', 1) = any(kinds)
            union all
            select a.attname::text, kinds[1]
            from pg_attribute as a
            where a.attrelid = held and a.attnum > 0 and a.attname = any(
                case kinds[1]
                    when 'person' then '{user_id,sender_user_id}'::name[]
                    when 'chat_session' then '{session_id}'
                    else '{trace_id,correlation_id,root_id}'
                end
            )
        ),

        links as (
            select t.expression, null as kind, null::regclass as parent, null as parent_expression
            from ties as t
            where t.kind = any(kinds)
            union all
            -- A key that leads to the same rows again tells nothing new, and a circle ends after two rounds.
            select t.expression, t.kind, to_regclass(d.table_name), substring(f.found from ' = (.*)')
            from ties as t
            inner join ops.personal_data as d on d.finds <> '{}'
            cross join unnest(d.finds) as f (found)
            where
                split_part(f.found, ' = ', 1) = t.kind
                and t.kind <> all(kinds)
                and t.expression is distinct from reached_by
                and coalesce(cardinality(array_positions(path, t.kind)), 0) < 2
            union all
            select fk.attname::text, null, f.confrelid, pk.attname::text
            from pg_constraint as f
            inner join pg_attribute as pk on f.confrelid = pk.attrelid and f.confkey[1] = pk.attnum
            inner join pg_attribute as fk on f.conrelid = fk.attrelid and f.conkey[1] = fk.attnum
            where
                path = '{}' and f.conrelid = held and f.contype = 'f' and f.conparentid = 0
                and cardinality(f.conkey) = 1
        )

        select
            l.expression,
            l.parent,
            l.parent_expression,
            max(l.kind) as kind,
            ops.type_of(held, l.expression) as type,
            ops.type_of(l.parent, l.parent_expression) as parent_type,
            -- A row may stay when what it hangs under is archived.
            coalesce(to_regclass('history.' || ops.archive_name(l.parent)), l.parent) as parents,
            exists (
                select
                from pg_index as i
                inner join pg_attribute as a on i.indrelid = a.attrelid and i.indkey[0] = a.attnum
                where i.indrelid = l.parent and a.attname = l.parent_expression
            ) as is_indexed
        from links as l
        group by l.expression, l.parent, l.parent_expression
        order by l.parent is not null, l.parent::text, l.expression
    loop
        if link.parent is null then
            conditions := conditions || ops.is_any(held, alias, link.expression, ids);
            continue;
        end if;
        condition := ops.held_by(
            link.parent, parent_alias, kinds, ids, path || coalesce(link.kind, 'key'), link.parent_expression
        );
        continue when condition is null;
        if link.is_indexed then
            conditions := conditions || format(
                'exists (select from %s as %s where %s and (%s))', link.parents, parent_alias,
                format(
                    case
                        when link.type = 'uuid[]'::regtype then '%s = any(%s)'
                        when link.type = link.parent_type then '%s = %s'
                        else '(%s)::text = (%s)::text'
                    end,
                    ops.of_row(parent_alias, link.parent_expression), ops.of_row(alias, link.expression)
                ),
                condition
            );
        else
            -- Nothing finds them row by row: so once for all.
            conditions := conditions || ops.is_any(
                held, alias, link.expression, ops.held_keys(link.parent, link.parent_expression, condition, parent_alias)
            );
        end if;
    end loop;
    return nullif(array_to_string(conditions, ' or '), '');
end
$function$;

comment on function ops.held_by(regclass, text, text[], text[], text[], text) is
'Condition on rows of a raw table, as SQL: they are what has one of these ids, or tied to it as '
'ops.personal_data says, by columns called like it, or by what they hang under, wherever in the database '
'that is; null if none can be.';

create function ops.held_keys(relation regclass, expression text, condition text, alias text) returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    keys text[];
begin
    execute format(
        'select array(select distinct (%s)::text from %s as %s where %s)', ops.of_row(alias, expression),
        coalesce(to_regclass('history.' || ops.archive_name(relation)), relation), alias, condition
    ) into keys;
    return array_remove(keys, null);
end
$function$;

comment on function ops.held_keys(regclass, text, text, text) is
'What a column or expression is in rows of a table and its archive for which a condition holds.';

create function ops.departed_ids(departed regclass, kinds text[], ids text[]) returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    with recursive known as (
        select unnest(ids) as id
        union
        -- What its rows hang under may still be here,
        select unnest(ops.held_keys(p.relation, p.expression, p.condition, 'p1'))
        from (
            select
                o.table_name::regclass as relation,
                substring(f.found from ' = (.*)') as expression,
                ops.held_by(
                    o.table_name::regclass, 'p1', kinds, ids, array[split_part(f.found, ' = ', 1)],
                    substring(f.found from ' = (.*)')
                ) as condition
            from ops.personal_data as d
            cross join unnest(d.ties) as u (tie)
            inner join ops.personal_data as o on o.finds <> '{}'
            cross join unnest(o.finds) as f (found)
            where
                d.table_name = ops.relation_name(departed)
                and split_part(u.tie, ' = ', 2) = split_part(f.found, ' = ', 1)
                and split_part(u.tie, ' = ', 2) <> all(kinds)
        ) as p
        where p.condition is not null
    ),

    -- or has left itself.
    led_to as (
        select k.id from known as k
        union
        select substring(f.id from '^[a-z_]+ = (.*)')
        from led_to as l
        inner join ops.departed_keys as d on d.found_by @> array[l.id]
        cross join unnest(d.found_by) as f (id)
        where f.id ~ '^[a-z_]+ = '
    )

    select array(
        select l.id from led_to as l
        union
        select d.key
        from ops.departed_keys as d
        where d.found_by && ids
    )
);

comment on function ops.departed_ids(regclass, text[], text[]) is
'By which ids in ops.departed_keys rows of a table are found that have left and are what has one of these '
'ids, or tied to it.';

create function ops.under_hold(hold bigint, out held_rows bigint, out held_months bigint)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    placed ops.legal_holds;
    place record;
    counted bigint;
begin
    select * into placed from ops.legal_holds as h where h.hold_id = hold;
    held_rows := 0;
    for place in
        select
            coalesce(to_regclass('history.' || ops.archive_name(t.relation)), t.relation) as relation,
            ops.hold_condition(t.relation, placed) as condition
        from (
            select d.table_name::regclass as relation
            from ops.personal_data as d
            where coalesce(d.table_name = placed.table_name, d.table_name not like 'ops.%')
        ) as t
    loop
        execute format('select count(*) from %s as r where %s', place.relation, place.condition) into counted;
        held_rows := held_rows + counted;
    end loop;
    select count(*) into held_months
    from ops.departures as d
    where
        d.removed_at is not null
        and hold in (select ops.holds_on_departed(d.table_name, d.month))
        and not exists (select from ops.purges as p where p.table_name = d.table_name and p.month = d.month);
end
$function$;

comment on function ops.under_hold(bigint) is
'How many rows in the database a hold covers at the moment, and how many months that lie in files.';

create function ops.place_hold(
    subject text, session text, trace text, held text, first_day date, last_day date, reason text,
    out hold_id bigint
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    known ops.legal_holds;
begin
    if num_nonnulls(subject, session, trace, first_day) = 0 then
        raise exception 'place_hold: a hold needs a subject, a session, a trace or a period'
            using errcode = 'invalid_parameter_value';
    end if;
    if (first_day is null) <> (last_day is null) or first_day > last_day then
        raise exception 'place_hold: a period needs a first day, and a last day that is not before it'
            using errcode = 'invalid_parameter_value';
    end if;
    if '' in (btrim(subject), btrim(session), btrim(trace), btrim(held)) then
        raise exception 'place_hold: a subject, session, trace or table is empty; name it, or leave it out'
            using errcode = 'invalid_parameter_value';
    end if;
    if coalesce(btrim(reason), '') = '' then
        raise exception 'place_hold: a hold needs a reason, such as the number of a case'
            using errcode = 'invalid_parameter_value';
    end if;
    if held is not null and not exists (
        select from ops.personal_data as d where d.table_name = held and d.table_name not like 'ops.%'
    ) then
        raise exception 'place_hold: there is no raw table %', held using errcode = 'undefined_table';
    end if;
    if not pg_try_advisory_xact_lock_shared(hashtextextended('ops.erasure', 0)) then
        raise exception 'place_hold: an erasure is at work, perhaps on what is to be held; place it once that has ended'
            using errcode = 'lock_not_available';
    end if;
    perform ops.take_lifecycle_lock();
    select * into known
    from ops.legal_holds as h
    where
        h.released_at is null
        and (h.subject_id, h.session_id, h.trace_id, h.table_name) is not distinct from (subject, session, trace, held)
        and daterange(h.first_day, h.last_day, '[]') && daterange(place_hold.first_day, place_hold.last_day, '[]')
    order by h.hold_id
    limit 1;
    if known.hold_id is not null then
        raise exception 'place_hold: hold % holds the same%',
            known.hold_id,
            case
                when known.first_day is null then ' already, on all days'
                else format(' from %s to %s; place one for the days it leaves out', known.first_day, known.last_day)
            end
            using errcode = 'unique_violation';
    end if;
    insert into ops.legal_holds as h (subject_id, session_id, trace_id, table_name, first_day, last_day, reason)
    values (subject, session, trace, held, place_hold.first_day, place_hold.last_day, place_hold.reason)
    returning h.hold_id into hold_id;
end
$function$;

comment on function ops.place_hold(text, text, text, text, date, date, text) is
'Holds the rows of a subject, a session, a trace or a period, in all raw tables or in one: they neither '
'leave nor are blanked or erased. Returns the hold''s number; refuses one that overlaps another of the '
'same, and any while an erasure is at work.';

create function ops.release_hold(hold bigint) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    update ops.legal_holds as h set released_at = clock_timestamp() where h.hold_id = hold and h.released_at is null;
    if not found then
        raise exception 'release_hold: no hold % is in force', hold using errcode = 'no_data_found';
    end if;
end
$function$;

comment on function ops.release_hold(bigint) is 'Ends a hold.';

create function ops.holds_on_persons(erasure bigint, archived text default null, month date default null)
returns setof bigint
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select h.hold_id
    from ops.legal_holds as h
    where
        h.released_at is null
        and case
            when month is null then num_nonnulls(h.subject_id, h.session_id, h.trace_id) > 0
            else coalesce(h.table_name = archived, true)
                and daterange(h.first_day, h.last_day, '[]')
                && daterange(month, (month + interval '1 month')::date)
        end
        and (h.subject_id is null or exists (
            select from ops.erasure_keys as k
            where k.erasure_id = erasure and k.kind = 'person' and k.key = h.subject_id
        ))
        and (h.session_id is null or exists (
            select from ops.erasure_keys as k
            where k.erasure_id = erasure
                and k.kind in ('chat_session', 'agentic_session') and k.key = h.session_id
        ))
        and (h.trace_id is null or exists (
            select from ops.erasure_keys as k
            where k.erasure_id = erasure
                and k.kind in ('obs_trace', 'exec_trace', 'exec_link', 'raaf_trace') and k.key = h.trace_id
        ));
end;

comment on function ops.holds_on_persons(bigint, text, date) is
'Legal holds in force that name a person of an erasure, or a session or trace of theirs, for whatever table '
'or days; of a file with rows of theirs those that may cover it, by its table and month.';


revoke all on function ops.tombstone() from public;
revoke all on function ops.subject_hash(text) from public;
revoke all on function ops.kept_paths(jsonb, text[]) from public;
revoke all on function ops.scrubbed(text, text[]) from public;
revoke all on function ops.scrubbed(text[], text[]) from public;
revoke all on function ops.scrubbed(jsonb, text[], text[]) from public;
revoke all on function ops.is_word(text) from public;
revoke all on function ops.also_quoted(text[]) from public;
revoke all on function ops.tie_condition(regclass, text, text, bigint, text[]) from public;
revoke all on function ops.erasure_words(bigint) from public;
revoke all on function ops.erasure_changes(bigint, regclass, regclass, boolean) from public;
revoke all on function ops.erasure_condition(bigint, regclass, regclass, boolean) from public;
revoke all on function ops.erasable_rows(bigint, regclass, regclass) from public;
revoke all on function ops.erase_rows(bigint, regclass, regclass, int, text, int) from public;
revoke all on function ops.note_erasure(bigint, text, text, bigint) from public;
revoke all on function ops.subject_tenants(text[]) from public;
revoke all on function ops.open_erasure(text[], text) from public;
revoke all on function ops.note_erasure_keys(bigint, text, text[]) from public;
revoke all on function ops.find_erasure_keys(bigint, text[]) from public;
revoke all on function ops.plan_erasure(bigint) from public;
revoke all on function ops.erase_from_ops(bigint) from public;
revoke all on function ops.person_condition(regclass, text, text) from public;
revoke all on function ops.pool_persons(regclass, ops.pooled_models, text, text[], text, text) from public;
revoke all on function ops.note_pooled_seal(bigint, bigint, numeric) from public;
revoke all on function ops.erase_from_marts(bigint) from public;
revoke all on function ops.marts_with_persons(bigint) from public;
revoke all on function ops.end_erasure(bigint, boolean) from public;
revoke all on function ops.stage_erasure(regclass, text) from public;
revoke all on function ops.note_replaced_file(bigint, text, text, text, bigint, bigint, bigint, text, jsonb)
from public;
revoke all on function ops.note_deleted_file(bigint, text) from public;
revoke all on function ops.known_as(text) from public;
revoke all on function ops.held_ids(ops.legal_holds) from public;
revoke all on function ops.uuids(text[]) from public;
revoke all on function ops.of_row(text, text) from public;
revoke all on function ops.type_of(regclass, text) from public;
revoke all on function ops.is_any(regclass, text, text, text[]) from public;
revoke all on function ops.held_by(regclass, text, text[], text[], text[], text) from public;
revoke all on function ops.held_keys(regclass, text, text, text) from public;
revoke all on function ops.departed_ids(regclass, text[], text[]) from public;
revoke all on function ops.under_hold(bigint) from public;
revoke all on function ops.place_hold(text, text, text, text, date, date, text) from public;
revoke all on function ops.release_hold(bigint) from public;
revoke all on function ops.holds_on_persons(bigint, text, date) from public;
grant execute on function ops.tombstone() to agentbooks_retention, agentbooks_refresher;
grant execute on function ops.subject_hash(text) to agentbooks_retention;
grant execute on function ops.is_word(text) to agentbooks_retention;
grant execute on function ops.also_quoted(text[]) to agentbooks_retention;
grant execute on function ops.erasure_words(bigint) to agentbooks_retention;
grant execute on function ops.erase_rows(bigint, regclass, regclass, int, text, int) to agentbooks_retention;
grant execute on function ops.note_erasure(bigint, text, text, bigint) to agentbooks_refresher;
grant execute on function ops.subject_tenants(text[]) to agentbooks_retention;
grant execute on function ops.open_erasure(text[], text) to agentbooks_retention;
grant execute on function ops.note_erasure_keys(bigint, text, text[]) to agentbooks_retention;
grant execute on function ops.find_erasure_keys(bigint, text[]) to agentbooks_retention;
grant execute on function ops.plan_erasure(bigint) to agentbooks_retention;
grant execute on function ops.erase_from_ops(bigint) to agentbooks_retention;
grant execute on function ops.person_condition(regclass, text, text) to agentbooks_refresher;
grant execute on function ops.pool_persons(regclass, ops.pooled_models, text, text[], text, text)
to agentbooks_refresher;
grant execute on function ops.note_pooled_seal(bigint, bigint, numeric) to agentbooks_refresher;
grant execute on function ops.erase_from_marts(bigint) to agentbooks_refresher;
grant execute on function ops.marts_with_persons(bigint) to agentbooks_refresher;
grant execute on function ops.end_erasure(bigint, boolean) to agentbooks_retention;
grant execute on function ops.stage_erasure(regclass, text) to agentbooks_retention;
grant execute on function ops.note_replaced_file(
    bigint, text, text, text, bigint, bigint, bigint, text, jsonb
)
to agentbooks_retention;
grant execute on function ops.note_deleted_file(bigint, text) to agentbooks_retention;
grant execute on function ops.under_hold(bigint) to agentbooks_retention;
grant execute on function ops.place_hold(text, text, text, text, date, date, text) to agentbooks_retention;
grant execute on function ops.release_hold(bigint) to agentbooks_retention;
grant execute on function ops.holds_on_persons(bigint, text, date) to agentbooks_retention;
