-- Columns that came later are filled from what the rows already say: in short transactions, each of which
-- says how far it came, beside writers, whose own values are never touched.

set local role agentbooks_owner;

create table ops.backfills (
    name text not null,
    table_name text not null,
    reached timestamptz not null default '-infinity',
    rows_seen bigint not null default 0,
    rows_written bigint not null default 0,
    refused jsonb not null default '{}' check (jsonb_typeof(refused) = 'object'),
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    primary key (name, table_name)
);

comment on table ops.backfills is
'One row per backfill and table that it goes through: how far it has come, or how it ended.';
comment on column ops.backfills.name is 'The backfill, as `agentbooks backfill` knows it.';
comment on column ops.backfills.table_name is 'Raw table or archive, with its schema.';
comment on column ops.backfills.reached is 'Rows up to this time of theirs are done.';
comment on column ops.backfills.rows_seen is 'Rows that were looked at.';
comment on column ops.backfills.rows_written is 'Rows that got something.';
comment on column ops.backfills.refused is
'How many values were not written, by column and reason. They stay where they were found.';
comment on column ops.backfills.started_at is 'When its first transaction began.';
comment on column ops.backfills.finished_at is 'When nothing was left to do; null before.';

grant select on ops.backfills to agentbooks_refresher, agentbooks_retention;
insert into ops.personal_data (table_name, fate) values ('ops.backfills', 'keep');


-- RAAF: what an agent's span saw and said, out of its attributes.

create function raaf.attribute(attributes jsonb, key text) returns jsonb
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
declare
    found jsonb;
begin
    foreach found in array array[attributes -> key, attributes #> string_to_array(key, '.')] loop
        if jsonb_typeof(found) <> 'null' and lower(found #>> '{}') not in ('', 'n/a', 'unknown') then
            return found;
        end if;
    end loop;
    return null;
end
$function$;

comment on function raaf.attribute(jsonb, text) is
'Attribute of a span under its dotted key, else nested; null where it says nothing.';

create function raaf.document(attributes jsonb, name text, keys text[]) returns jsonb
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
declare
    key text;
    found jsonb;
begin
    foreach key in array keys loop
        found := raaf.attribute(attributes, key);
        -- Tracers write what is structured as text, too. Text that is no JSON stays text.
        if left(ltrim(found #>> '{}'), 1) in ('{', '[') and jsonb_typeof(found) = 'string' then
            begin
                found := (found #>> '{}')::jsonb;
            exception
                when invalid_text_representation or untranslatable_character then
                    null;
            end;
        end if;
        if found is not null then
            return found;
        end if;
    end loop;
    return (
        select jsonb_object_agg(substr(a.key, length(name) + 2), a.value)
        from jsonb_each(attributes) as a
        where starts_with(a.key, name || '.')
    );
end
$function$;

comment on function raaf.document(jsonb, text, text[]) is
'Attribute under the first of some keys that holds something, text of JSON read as such; else the object '
'that dotted keys under its name make up (prompt_data.text, prompt_data.model).';

create function raaf.columns_from_attributes(
    kind text, name text, attributes jsonb,
    out agent_name text, out prompt_data jsonb, out input_context jsonb, out output_context jsonb,
    out chat_messages jsonb, out execution_metadata jsonb, out refused text[]
)
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
declare
    said constant text := attributes::text;
begin
    agent_name := nullif(btrim(left(raaf.attribute(attributes, 'agent.name') #>> '{}', 255)), '');
    if kind = 'agent' then
        agent_name := coalesce(agent_name, nullif(btrim(name), ''), 'unknown');
    end if;

    -- Most spans have little of the rest, and each look costs.
    if strpos(said, 'prompt_data') > 0 then
        prompt_data := raaf.document(attributes, 'prompt_data', '{prompt_data,agent.prompt_data}');
    end if;
    if prompt_data is null and strpos(said, 'initial_user_prompt') > 0 then
        prompt_data := jsonb_build_object('text', raaf.attribute(attributes, 'agent.initial_user_prompt'));
    end if;
    if strpos(said, 'input_context') > 0 then
        input_context := raaf.document(attributes, 'input_context', '{input_context,agent.input_context}');
    end if;
    if input_context is null and strpos(said, 'function') > 0 then
        input_context := jsonb_build_object('data', raaf.document(attributes, 'function.input', '{function.input}'));
    end if;
    if strpos(said, 'output_context') > 0 then
        output_context := raaf.document(attributes, 'output_context', '{output_context,agent.output_context}');
    end if;
    if output_context is null and strpos(said, 'function') > 0 then
        output_context := jsonb_build_object('data', raaf.document(attributes, 'function.output', '{function.output}'));
    end if;
    if strpos(said, 'messages') > 0 then
        chat_messages := raaf.document(
            attributes, 'chat_messages',
            '{chat_messages,agent.chat_messages,agent.conversation_messages,llm.request.messages}'
        );
    end if;
    if strpos(said, 'execution_metadata') > 0 then
        execution_metadata := raaf.document(
            attributes, 'execution_metadata', '{execution_metadata,agent.execution_metadata}'
        );
    end if;
    prompt_data := nullif(prompt_data, '{"text": null}');
    input_context := nullif(input_context, '{"data": null}');
    output_context := nullif(output_context, '{"data": null}');

    if prompt_data is not null and not raaf.is_prompt_data(prompt_data) then
        refused := refused || 'prompt_data'::text;
        prompt_data := null;
    end if;
    if input_context is not null and not raaf.is_span_context(input_context) then
        refused := refused || 'input_context'::text;
        input_context := null;
    end if;
    if output_context is not null and not raaf.is_span_context(output_context) then
        refused := refused || 'output_context'::text;
        output_context := null;
    end if;
    if chat_messages is not null and not raaf.is_chat_messages(chat_messages) then
        refused := refused || 'chat_messages'::text;
        chat_messages := null;
    end if;
    if execution_metadata is not null and not raaf.is_execution_metadata(execution_metadata) then
        refused := refused || 'execution_metadata'::text;
        execution_metadata := null;
    end if;
end
$function$;

comment on function raaf.columns_from_attributes(text, text, jsonb) is
'What the columns of 110_raaf_enhanced_spans say of a span, out of its attributes, and in refused '
'the columns whose shape these do not have. An agent without a name is called like its span.';

-- A check asks for names, which spans in a file may be older than: without, they could not come back.
create function raaf.name_agents(spans regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    execute format(
        'update %s as s set agent_name = (raaf.columns_from_attributes(s.kind, s.name, s.span_attributes)).agent_name '
        'where s.kind = ''agent'' and btrim(coalesce(s.agent_name, '''')) = ''''', spans
    );
end
$function$;

comment on function raaf.name_agents(regclass) is
'Gives the agents among these spans that have no name the one that a backfill would.';

-- Marts read an agent's name and its metadata: what gives a span another of these marks its keys, as no
-- refresh looks for changes in rows that keep their change_id, or in an archive.
create function raaf.backfill_spans(batch int default 5000) returns setof ops.backfills
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '300ms'
as $function$
declare
    spans constant regclass := 'raaf.raaf_tracing_spans';
    part ops.backfills;
    keys text;
    upto timestamptz;
    seen bigint;
    written bigint;
    refusals jsonb;
begin
    if batch is null or batch not between 1 and 100000 then
        raise exception 'backfill_spans: batch is %, it must be from 1 to 100000', coalesce(batch::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    -- Not beside a move, which could take rows from what is to be done to what is done.
    perform pg_advisory_xact_lock_shared(hashtextextended('ops.lifecycle', 0));

    -- Started again when all was done, it begins anew: months may have come back from files.
    if not exists (select from ops.backfills as b where b.name = 'raaf' and b.finished_at is null) then
        delete from ops.backfills as b where b.name = 'raaf';
        insert into ops.backfills (name, table_name)
        select 'raaf', ops.relation_name(r.relation)
        from unnest(array[spans, ops.archive_of(spans)]) as r (relation)
        where r.relation is not null;
    end if;
    select * into part from ops.backfills as b
    where b.name = 'raaf' and b.finished_at is null
    order by b.table_name desc
    limit 1
    for update;

    execute format(
        'select max(b.start_time), count(*) from ('
        'select start_time from %s where start_time > $1 order by start_time limit $2) as b', part.table_name
    ) into upto, seen using part.reached, batch;
    if upto is not null then
        select c.keys into keys from ops.captured_tables as c where c.table_name = ops.relation_name(spans);
        perform ops.set_lifecycle(true);
        execute format(
            $query$
            with found as materialized (
                select s.trace_id, s.span_id, s.start_time, f.*
                from %1$s as s
                cross join lateral raaf.columns_from_attributes(s.kind, s.name, s.span_attributes) as f
                where s.start_time > $1 and s.start_time <= $2 and num_nonnulls(
                    s.agent_name, s.prompt_data, s.input_context, s.output_context, s.chat_messages,
                    s.execution_metadata
                ) < 6
            ),
            written as (
                update %1$s as s
                set agent_name = coalesce(nullif(btrim(s.agent_name), ''), f.agent_name),
                    prompt_data = coalesce(nullif(s.prompt_data, '{}'), f.prompt_data, s.prompt_data),
                    input_context = coalesce(nullif(s.input_context, '{}'), f.input_context, s.input_context),
                    output_context = coalesce(nullif(s.output_context, '{}'), f.output_context, s.output_context),
                    chat_messages = coalesce(nullif(s.chat_messages, '[]'), f.chat_messages, s.chat_messages),
                    execution_metadata = coalesce(
                        nullif(s.execution_metadata, '{}'), f.execution_metadata, s.execution_metadata
                    )
                from found as f
                where
                    s.start_time > $1 and s.start_time <= $2
                    and s.trace_id = f.trace_id and s.span_id = f.span_id and s.start_time = f.start_time
                    and (
                        btrim(coalesce(s.agent_name, '')) = '' and f.agent_name is not null
                        or coalesce(s.prompt_data, '{}') = '{}' and f.prompt_data is not null
                        or coalesce(s.input_context, '{}') = '{}' and f.input_context is not null
                        or coalesce(s.output_context, '{}') = '{}' and f.output_context is not null
                        or coalesce(s.chat_messages, '[]') = '[]' and f.chat_messages is not null
                        or coalesce(s.execution_metadata, '{}') = '{}' and f.execution_metadata is not null
                    )
                returning
                    s.*,
                    f.execution_metadata is not null
                    or s.agent_name is distinct from raaf.attribute(s.span_attributes, 'agent.name') #>> '{}'
                    as is_change
            ),
            marked as (
                insert into ops.changes (table_name, keys)
                select $3, to_jsonb(k) from (select distinct %2$s from written where is_change) as k
            ),
            refusals as (
                select r.name, count(*) as values from found as f cross join unnest(f.refused) as r (name)
                group by r.name
            )
            select
                (select count(*) from written),
                (select jsonb_object_agg(r.name || ' has another shape', r.values) from refusals as r)
            $query$, part.table_name, coalesce(keys, 'null as day')
        ) into written, refusals using part.reached, upto, ops.relation_name(spans);
        perform ops.set_lifecycle(false);
    end if;

    return query
    update ops.backfills as b
    set reached = coalesce(upto, b.reached),
        rows_seen = b.rows_seen + seen,
        rows_written = b.rows_written + coalesce(written, 0),
        refused = b.refused || coalesce((
            select jsonb_object_agg(r.key, r.value::bigint + coalesce((b.refused ->> r.key)::bigint, 0))
            from jsonb_each_text(refusals) as r
        ), '{}'),
        finished_at = case when upto is null then now() end
    where b.name = part.name and b.table_name = part.table_name
    returning b.*;
end
$function$;

comment on function raaf.backfill_spans(int) is
'Fills the columns of 110_raaf_enhanced_spans that are empty from the attributes of up to batch more '
'spans, archived ones after the others; returns how far it is. Call it until both tables are finished, each '
'time in a transaction of its own. What a writer has written stays.';

create function ops.validate_checks(checked regclass) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '300ms'
as $function$
declare
    rule record;
    validated int := 0;
begin
    -- Archived months were tables of their own when they left, and come back with the checks that they had.
    for rule in
        select r.relation, k.conname
        from (
            select checked as relation
            union all
            select i.inhrelid::regclass from pg_inherits as i where i.inhparent = ops.archive_of(checked)
        ) as r
        join pg_constraint as k on k.conrelid = r.relation
        where k.contype = 'c' and not k.convalidated
    loop
        execute format('alter table %s validate constraint %I', rule.relation, rule.conname);
        validated := validated + 1;
    end loop;
    return validated;
end
$function$;

comment on function ops.validate_checks(regclass) is
'Has the checks of a table that bind new rows alone looked up in the others, those of archived months '
'too, beside writers; returns how many.';

revoke all on function raaf.attribute(jsonb, text) from public;
revoke all on function raaf.document(jsonb, text, text[]) from public;
revoke all on function raaf.columns_from_attributes(text, text, jsonb) from public;
revoke all on function raaf.name_agents(regclass) from public;
revoke all on function raaf.backfill_spans(int) from public;
revoke all on function ops.validate_checks(regclass) from public;
