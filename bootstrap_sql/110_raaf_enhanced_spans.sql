-- What an agent's span saw and said: a change of its own, as it was in the source. Its revert keeps
-- the data of these columns aside, and this file brings it back.

set local role agentbooks_owner;

-- In PL/pgSQL, whose plans last for the session: a function in SQL would be planned again by each
-- insert of a single row, which then takes twice as long. And one jsonpath for all types, as every
-- operator in SQL is made ready again in each transaction.

create function raaf.is_prompt_data(document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return coalesce(
        document = '{}'
        or jsonb_typeof(document) = 'object'
        and not document @? '$ ? (
            !(@.text.type() == "string")
            || (@.template.type() != "string" && @.template.type() != "null")
            || (@.model.type() != "string" && @.model.type() != "null")
            || (@.variables.type() != "object" && @.variables.type() != "null")
            || (@.temperature.type() != "number" && @.temperature.type() != "null")
            || (@.max_tokens.type() != "number" && @.max_tokens.type() != "null")
        )',
        false
    );
end
$function$;

comment on function raaf.is_prompt_data(jsonb) is
'Whether a value is {text, template, variables, model, temperature, max_tokens} with text a string '
'and the others of their type, null or absent. {} is: Rails writes it for "not captured".';

create function raaf.is_span_context(document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return coalesce(
        document = '{}'
        or jsonb_typeof(document) = 'object'
        and not document @? '$ ? (
            !(@.data.type() == "object" || @.data.type() == "array")
            || (@.schema.type() != "object" && @.schema.type() != "null")
            || (@.validation_results.type() != "array" && @.validation_results.type() != "null")
            || (@.transformations.type() != "array" && @.transformations.type() != "null")
            || (
                @.validation_results.type() == "array" && (
                    @.validation_results[*].type() != "object"
                    || exists(@.validation_results[*] ? (
                        !(@.field.type() == "string" && @.status.type() == "string")
                        || (@.message.type() != "string" && @.message.type() != "null")
                    ))
                )
            )
            || (
                @.transformations.type() == "array" && (
                    @.transformations[*].type() != "object"
                    || exists(@.transformations[*] ? (
                        !(@.step.type() == "string")
                        || (@.duration_ms.type() != "number" && @.duration_ms.type() != "null")
                        || (
                            @.records_processed.type() != "number"
                            && @.records_processed.type() != "null"
                        )
                        || (
                            @.insights_generated.type() != "number"
                            && @.insights_generated.type() != "null"
                        )
                    ))
                )
            )
        )',
        false
    );
end
$function$;

comment on function raaf.is_span_context(jsonb) is
'Whether a value is {data, schema, validation_results[{field, status, message}], '
'transformations[{step, duration_ms, records_processed, insights_generated}]} with data an object or '
'array and the others of their type, null or absent. {} is: Rails writes it for "not captured".';

create function raaf.is_chat_messages(document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return coalesce(
        jsonb_typeof(document) = 'array'
        and not document @? '$[*].type() ? (@ != "object")'
        and not document @? '$[*] ? (
            !(@.role == "system" || @.role == "user" || @.role == "assistant" || @.role == "tool")
            || @.role.type() != "string"
            || !(
                @.content.type() == "string"
                || @.content.type() == "array"
                || @.content.type() == "object"
                || @.content.type() == "null" && @.role == "assistant"
            )
            || exists(@.timestamp.type() ? (@ != "string" && @ != "null"))
        )',
        false
    );
end
$function$;

comment on function raaf.is_chat_messages(jsonb) is
'Whether a value is an array of {role, content, timestamp}: role system, user, assistant or tool; '
'content text, parts or structure, null only for an assistant who merely calls tools.';

create function raaf.is_execution_metadata(document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return coalesce(
        jsonb_typeof(document) = 'object'
        and not document @? '$ ? (
            (@.agent_class.type() != "string" && @.agent_class.type() != "null")
            || (@.agent_version.type() != "string" && @.agent_version.type() != "null")
            || (@.start_time.type() != "string" && @.start_time.type() != "null")
            || (@.end_time.type() != "string" && @.end_time.type() != "null")
            || (@.duration_ms.type() != "number" && @.duration_ms.type() != "null")
            || (@.memory_usage_mb.type() != "number" && @.memory_usage_mb.type() != "null")
            || (@.cpu_time_ms.type() != "number" && @.cpu_time_ms.type() != "null")
            || (@.retry_count.type() != "number" && @.retry_count.type() != "null")
            || (@.error_info.type() != "object" && @.error_info.type() != "null")
            || (@.tools_used.type() != "array" && @.tools_used.type() != "null")
            || (@.tools_used.type() == "array" && @.tools_used[*].type() != "string")
            || (@.handoffs.type() != "array" && @.handoffs.type() != "null")
            || (
                @.handoffs.type() == "array" && (
                    @.handoffs[*].type() != "object"
                    || exists(@.handoffs[*] ? (
                        !(@.from_agent.type() == "string" && @.to_agent.type() == "string")
                        || (@.timestamp.type() != "string" && @.timestamp.type() != "null")
                    ))
                )
            )
        )',
        false
    );
end
$function$;

comment on function raaf.is_execution_metadata(jsonb) is
'Whether a value is {agent_class, agent_version, start_time, end_time, duration_ms, memory_usage_mb, '
'cpu_time_ms, tools_used[text], handoffs[{from_agent, to_agent, timestamp}], error_info, '
'retry_count}, each of its type, null or absent. {} is.';

revoke all on function raaf.is_prompt_data(jsonb) from public;
revoke all on function raaf.is_span_context(jsonb) from public;
revoke all on function raaf.is_chat_messages(jsonb) from public;
revoke all on function raaf.is_execution_metadata(jsonb) from public;
grant execute on function raaf.is_prompt_data(jsonb) to agentbooks_loader, service_role;
grant execute on function raaf.is_span_context(jsonb) to agentbooks_loader, service_role;
grant execute on function raaf.is_chat_messages(jsonb) to agentbooks_loader, service_role;
grant execute on function raaf.is_execution_metadata(jsonb) to agentbooks_loader, service_role;


alter table raaf.raaf_tracing_spans
add column agent_name varchar(255),
add column prompt_data jsonb,
add column input_context jsonb,
add column output_context jsonb,
add column chat_messages jsonb,
add column execution_metadata jsonb;

-- No trigger stands on the spans yet, so that rows keep their change_id and updated_at.
do $restore$
begin
    if to_regclass('raaf.enhanced_span_columns_kept') is not null then
        update raaf.raaf_tracing_spans as spans
        set agent_name = kept.agent_name,
            prompt_data = kept.prompt_data,
            input_context = kept.input_context,
            output_context = kept.output_context,
            chat_messages = kept.chat_messages,
            execution_metadata = kept.execution_metadata
        from raaf.enhanced_span_columns_kept as kept
        where spans.trace_id = kept.trace_id
            and spans.span_id = kept.span_id
            and spans.start_time = kept.start_time;

        drop table raaf.enhanced_span_columns_kept;
    end if;
end
$restore$;

-- What waits in the default partition is written anew once its month is made, and then has to have a name.
do $waiting$
begin
    if to_regclass('raaf.raaf_tracing_spans_default') is not null then
        update raaf.raaf_tracing_spans_default
        set agent_name = coalesce(
            nullif(btrim(left(span_attributes ->> 'agent.name', 255)), ''),
            nullif(btrim(left(span_attributes #>> '{agent,name}', 255)), ''),
            nullif(btrim(name), ''),
            'unknown'
        )
        where kind = 'agent' and btrim(coalesce(agent_name, '')) = '';
    end if;
end
$waiting$;

-- Spans that are there already have no names yet: to give each one would keep writers waiting, so that
-- checks bind what is written from now on, and `agentbooks backfill raaf` does the rest.
do $checks$
declare
    rule record;
begin
    for rule in
        select *
        from (values
            ('agent_name_for_agent_spans', $$kind <> 'agent' or btrim(coalesce(agent_name, '')) <> ''$$),
            ('valid_prompt_data', 'prompt_data is null or raaf.is_prompt_data(prompt_data)'),
            ('valid_input_context', 'input_context is null or raaf.is_span_context(input_context)'),
            ('valid_output_context', 'output_context is null or raaf.is_span_context(output_context)'),
            ('valid_chat_messages', 'chat_messages is null or raaf.is_chat_messages(chat_messages)'),
            (
                'valid_execution_metadata',
                'execution_metadata is null or raaf.is_execution_metadata(execution_metadata)'
            )
        ) as rules (name, condition)
        -- A table that is taken over has got its checks.
        where not exists (
            select from pg_constraint as k
            where k.conrelid = 'raaf.raaf_tracing_spans'::regclass and k.conname = 'check_' || rules.name
        )
    loop
        execute format(
            'alter table raaf.raaf_tracing_spans add constraint %I check (%s) %s',
            'check_' || rule.name, rule.condition,
            case when exists (select from raaf.raaf_tracing_spans) then 'not valid' end
        );
    end loop;
end
$checks$;

-- An agent's spans, newest first.
create index idx_raaf_tracing_spans_agent_time
on raaf.raaf_tracing_spans (agent_name, start_time desc) where agent_name is not null;
-- The latest spans of an agent's class: without the time, all of a month are read in its order.
create index idx_raaf_tracing_spans_agent_class
on raaf.raaf_tracing_spans ((execution_metadata ->> 'agent_class'), start_time desc)
where execution_metadata is not null;
-- Containment in what an agent was given: @>.
create index idx_raaf_tracing_spans_input_context
on raaf.raaf_tracing_spans using gin (input_context jsonb_path_ops);
-- Containment in what an agent produced: @>.
create index idx_raaf_tracing_spans_output_context
on raaf.raaf_tracing_spans using gin (output_context jsonb_path_ops);
-- Containment in a conversation, such as its roles: @>.
create index idx_raaf_tracing_spans_chat_messages
on raaf.raaf_tracing_spans using gin (chat_messages jsonb_path_ops);

comment on column raaf.raaf_tracing_spans.agent_name is
'Agent that ran; never blank where kind is agent. Null: the span is no agent''s own.';
comment on column raaf.raaf_tracing_spans.prompt_data is
'Object {text, template, variables, model, temperature, max_tokens}, text required. Null and {}: not '
'captured. Personal data.';
comment on column raaf.raaf_tracing_spans.input_context is
'Object {data, schema, validation_results[{field, status, message}]}, data required. Null and {}: '
'not captured. Personal data.';
comment on column raaf.raaf_tracing_spans.output_context is
'Object {data, schema, transformations[{step, duration_ms, records_processed, insights_generated}]}, '
'data required. Null and {}: not captured. Personal data.';
comment on column raaf.raaf_tracing_spans.chat_messages is
'Array of {role, content, timestamp}, role and content required. Null and []: not captured. Personal '
'data.';
comment on column raaf.raaf_tracing_spans.execution_metadata is
'Object {agent_class, agent_version, start_time, end_time, duration_ms, memory_usage_mb, '
'cpu_time_ms, tools_used[], handoffs[{from_agent, to_agent, timestamp}], error_info, retry_count}. '
'Null and {}: not captured. Its times are text and its duration a copy: use the columns.';
