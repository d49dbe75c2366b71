-- How long rows are kept is said by seed retention_policies. Here is what a seed cannot hold:
-- exceptions for tenants, the judgement on whether policies can work, and the blanking of payloads
-- before their rows go.

set local role agentbooks_owner;

create table ops.retention_overrides (
    tenant_id text not null check (tenant_id <> ''),
    table_name text not null check (to_regclass(table_name) is not null),
    active_for interval check (active_for between interval '0' and interval '500 years'),
    archived_for interval check (archived_for between interval '0' and interval '500 years'),
    cold_for interval check (cold_for between interval '0' and interval '500 years'),
    payload_for interval check (payload_for between interval '0' and interval '500 years'),
    reason text not null check (reason <> ''),
    placed_at timestamptz not null default now(),
    placed_by text not null default session_user,
    primary key (tenant_id, table_name)
);

comment on table ops.retention_overrides is
'One row per tenant and table whose rows are kept for other terms than seed retention_policies says.';
comment on column ops.retention_overrides.tenant_id is 'The tenant.';
comment on column ops.retention_overrides.table_name is 'Raw table, with its schema.';
comment on column ops.retention_overrides.active_for is
'How long in the raw table; null: as for others. Of a partitioned table whole months move, for '
'all tenants alike.';
comment on column ops.retention_overrides.archived_for is
'How long in the archive after that; null: as for others.';
comment on column ops.retention_overrides.cold_for is 'How long as files after that; null: as for others.';
comment on column ops.retention_overrides.payload_for is
'How long prompts, inputs, outputs and texts are kept; null: as for others.';
comment on column ops.retention_overrides.reason is 'Why, such as the contract.';
comment on column ops.retention_overrides.placed_at is 'When it was placed.';
comment on column ops.retention_overrides.placed_by is 'Role that placed it.';

grant select, insert, update, delete on ops.retention_overrides to agentbooks_retention;

create function ops.interval_of(term text) returns interval
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
begin
    -- Longer ones count back to before the calendar.
    if term ~ '^P([0-9]{1,3}Y)?([0-9]{1,4}M)?([0-9]{1,6}D)?$' and term <> 'P' and term::interval <= interval '500 years' then
        return term::interval;
    end if;
    return null;
end
$function$;

comment on function ops.interval_of(text) is
'A term such as P90D, P6M or P1Y6M, of at most 500 years; null for anything else.';

create function ops.payload_parts(payload_columns text)
returns table (column_name text, kept_keys text[])
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
begin
    return query
    select
        m.parts[1],
        case when m.parts[2] is not null then string_to_array(btrim(m.parts[2], '()'), ' ') end
    from regexp_matches(payload_columns, '([a-z_][a-z0-9_]*)(\([^)]*\))?', 'g') as m (parts);
end
$function$;

comment on function ops.payload_parts(text) is
'Columns that a list such as `inputs content(type)` names, and the keys that stay of an object.';

create function ops.views_that_read(hot regclass, column_name text) returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select
        coalesce(
            array_agg(distinct ops.relation_name(r.ev_class) order by ops.relation_name(r.ev_class)), '{}'
        )
    from pg_depend as d
    join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    join pg_class as v on r.ev_class = v.oid
    join pg_attribute as a on d.refobjid = a.attrelid and d.refobjsubid = a.attnum
    where
        d.refclassid = 'pg_class'::regclass
        and d.refobjid in (hot, to_regclass(format('history.%I', ops.archive_name(hot))))
        and a.attname = views_that_read.column_name
        and v.relnamespace::regnamespace::text like '%staging'
);

comment on function ops.views_that_read(regclass, text) is
'Staging views that read a column of a raw table, by the catalog: without it numbers could not '
'be computed again.';

create function ops.strip_payloads(
    hot regclass,
    payload_columns text,
    due jsonb,
    batch int default 5000,
    only_count boolean default false,
    after text default null,
    out stripped bigint,
    out place text,
    out bytes bigint,
    out oldest timestamptz,
    out held jsonb
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    part record;
    blanks text[] := '{}';
    left_over text[] := '{}';
    blank text;
    sizes text[] := '{}';
    counted text;
    is_free text;
    -- Pages of a step: of long rows few fit on one.
    pages constant int := greatest(batch / 32, 1);
    page bigint;
    is_any_left boolean;
    treated bigint;
begin
    stripped := 0;
    for part in
        select
            p.column_name,
            p.kept_keys,
            a.attnotnull as is_required,
            format_type(a.atttypid, a.atttypmod) as type,
            ops.views_that_read(hot, p.column_name) as readers
        from ops.payload_parts(payload_columns) as p
        left join pg_attribute as a
            on a.attrelid = hot and p.column_name = a.attname and a.attnum > 0 and not a.attisdropped
    loop
        if part.type is null then
            raise exception 'strip_payloads: % has no column %', hot, part.column_name
                using errcode = 'undefined_column';
        end if;
        if part.kept_keys is not null and part.type <> 'jsonb' then
            raise exception 'strip_payloads: % of % is no JSON, so that no keys of it can stay', part.column_name, hot
                using errcode = 'invalid_parameter_value';
        end if;
        if part.kept_keys is null and part.readers <> '{}' then
            raise exception 'strip_payloads: % of % is read by %; numbers that rest on it would change',
                part.column_name, hot, part.readers[1]
                using errcode = 'invalid_parameter_value';
        end if;
        sizes := sizes || format('coalesce(pg_column_size(h.%I), 0)', part.column_name);
        blank := case part.type when 'jsonb' then '{}' else '[removed]' end;
        if part.kept_keys is not null then
            blanks := blanks || format(
                '%1$I = case when jsonb_typeof(%1$I) = ''object'' then (select coalesce(jsonb_object_agg(j.key, j.value), ''{}'') '
                'from jsonb_each(%1$I) as j where j.key = any(%2$L)) end', part.column_name, part.kept_keys::text
            );
            left_over := left_over || format(
                '%1$I is not null and (jsonb_typeof(%1$I) <> ''object'' or %1$I - %2$L::text[] <> ''{}'')',
                part.column_name, part.kept_keys::text
            );
        elsif part.is_required then
            blanks := blanks || format('%I = %L', part.column_name, blank);
            left_over := left_over || format('%I <> %L', part.column_name, blank);
        else
            blanks := blanks || format('%I = null', part.column_name);
            left_over := left_over || format('%I is not null', part.column_name);
        end if;
    end loop;
    if blanks = '{}' then
        raise exception 'strip_payloads: no columns of % are named', hot using errcode = 'invalid_parameter_value';
    end if;

    if not only_count then
        perform ops.take_lifecycle_lock();
        perform ops.set_lifecycle(true);
    end if;
    -- What is held stays as it is, also what came to be while this waited.
    is_free := ' and ' || ops.free_condition(hot);
    <<parts>>
    for part in
        select
            l.relation,
            case when l.relation::oid::text = split_part(after, ' ', 1) then split_part(after, ' ', 2)::bigint else 0 end
                as first_page
        from (
            select l.relid as relation
            from unnest(array[hot, ops.archive_of(hot)]) as r (relation)
            cross join pg_partition_tree(r.relation) as l
            where l.isleaf
            union
            select r.relation
            from unnest(array[hot, ops.archive_of(hot)]) as r (relation)
            where not exists (select from pg_partitioned_table as p where p.partrelid = r.relation) and r.relation is not null
        ) as l
        where after is null or l.relation::oid >= split_part(after, ' ', 1)::oid
        order by l.relation::oid
    loop
        if only_count then
            counted := concat_ws(' union all ', counted, format(
                'select %s from %s where %s and (%s)', ops.columns_of(hot), part.relation, ops.is_due(hot, due),
                array_to_string(left_over, ' or ')
            ));
            continue;
        end if;
        page := part.first_page;
        if page = 0 then
            execute format(
                'select true from %s as h where %s and (%s) limit 1',
                part.relation, ops.is_due(hot, due) || is_free, array_to_string(left_over, ' or ')
            ) into is_any_left;
            continue when is_any_left is null;
        end if;
        while page < pg_relation_size(part.relation) / current_setting('block_size')::int loop
            if stripped >= batch then
                place := part.relation::oid || ' ' || page;
                exit parts;
            end if;
            execute format(
                'with due as materialized (select h.ctid as place from %1$s as h '
                'where h.ctid >= %2$L and h.ctid < %3$L and %4$s and (%5$s) for update skip locked), '
                'stripped as (update %1$s as h set %6$s where h.ctid = any(array(select place from due)) returning 1) '
                'select count(*) from stripped',
                part.relation, format('(%s,0)', page), format('(%s,0)', page + pages),
                ops.is_due(hot, due) || is_free, array_to_string(left_over, ' or '),
                array_to_string(blanks, ', ')
            ) into treated;
            stripped := stripped + treated;
            page := page + pages;
        end loop;
    end loop;
    if only_count then
        execute format(
            'select count(*), coalesce(sum(%s), 0)::bigint, min(h.%I) from (%s) as h where true%s',
            array_to_string(sizes, ' + '), due ->> 'clock', counted, is_free
        ) into stripped, bytes, oldest;
        select coalesce(jsonb_object_agg(h.hold_id, h.held_rows), '{}') into held
        from ops.holds_on(hot, counted) as h;
    else
        perform ops.set_lifecycle(false);
    end if;
end
$function$;

comment on function ops.strip_payloads(regclass, text, jsonb, int, boolean, text) is
'Blanks columns such as `inputs content(type)`, where content keeps its key type (what must be there '
'becomes `[removed]` or `{}`), in about batch due rows of a table and its archive that no legal hold '
'covers; returns how many, and the place after which the next call is to go on, null at the end; or counts '
'all, with the bytes of these columns, the oldest time, and how many due rows each hold keeps. Refuses what '
'staging views read as a whole. See ops.is_due.';

revoke all on function ops.strip_payloads(regclass, text, jsonb, int, boolean, text) from public;
grant execute on function ops.strip_payloads(regclass, text, jsonb, int, boolean, text)
to agentbooks_retention;

-- No policy's fault alone, so that it stops nothing: the rows join their month the next time.
create function ops.rows_after_archiving() returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    late record;
    late_rows bigint;
begin
    for late in
        select a.hot, m.month
        from ops.archives as a
        join pg_inherits as i on a.hot = i.inhparent
        join pg_class as c on i.inhrelid = c.oid
        cross join lateral (
            select to_date(substring(c.relname from '_y([0-9]{4}m[0-9]{2})$'), 'YYYY"m"MM') as month
        ) as m
        where to_regclass('archive.' || ops.month_partition_name(a.archive, m.month)) is not null
    loop
        -- By the whole table, as rights on it are none on its partitions.
        execute format(
            'select count(*) from %1$s where %2$s >= %3$L::timestamptz and %2$s < %3$L::timestamptz + interval ''1 month''',
            late.hot, ops.month_clock(late.hot), late.month
        ) into late_rows;
        if late_rows > 0 then
            return next format(
                '%s has %s rows of %s that came after that month was archived: give it a longer active_for.',
                ops.relation_name(late.hot), late_rows, to_char(late.month, 'YYYY-MM')
            );
        end if;
    end loop;
end
$function$;

comment on function ops.rows_after_archiving() is
'A sentence per month that is archived and has rows in its raw table again: they came later '
'than the policy expects.';

-- Each finding is a sentence: a policy that says nothing, cannot work, or works against another.
create function ops.retention_findings(policies regclass) returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
begin
    return query execute replace($sql$
        with raw_tables as (
            select
                c.oid as relation,
                ops.relation_name(c.oid) as table_name,
                t.partattrs[0] as month_column
            from pg_class as c
            join pg_namespace as n on c.relnamespace = n.oid
            left join pg_partitioned_table as t on c.oid = t.partrelid
            where n.nspname in (select s.schema_name from ops.raw_schemas as s)
                and c.relowner = 'agentbooks_owner'::regrole and c.relkind in ('r', 'p') and not c.relispartition
        ),

        policies as (
            select
                p.*,
                t.relation,
                ops.interval_of(p.active_for) as active,
                timestamp '2000-01-01' + ops.interval_of(p.active_for) as active_to,
                timestamp '2000-01-01' + ops.interval_of(p.active_for)
                + coalesce(ops.interval_of(p.archived_for), interval '0') as archived_to,
                case
                    when p.finally = 'keep' then 'infinity'
                    else timestamp '2000-01-01' + ops.interval_of(p.active_for)
                        + coalesce(ops.interval_of(p.archived_for), interval '0')
                        + coalesce(ops.interval_of(p.cold_for), interval '0')
                end as gone_at
            from {policies} as p
            left join raw_tables as t using (table_name)
        ),

        columns as (
            select a.attrelid as relation, a.attname::text as name, a.attnum as place, a.atttypid::regtype as type
            from pg_attribute as a
            join raw_tables as t on a.attrelid = t.relation
            where a.attnum > 0 and not a.attisdropped
        ),

        named as (
            select p.table_name, p.relation, n.*
            from policies as p
            cross join lateral (
                values ('clock', p.clock), ('state_column', p.state_column), ('together_by', p.together_by)
            ) as n (field, name)
            where n.name is not null
        ),

        survivors as (
            select
                p.table_name,
                p.relation,
                p.survivor,
                p.survivor ~ '^\w+\.\w+ (\*|\w+)( \w+=\w+)*$' as is_readable,
                (
                    select c.oid
                    from pg_class as c
                    join pg_namespace as n on c.relnamespace = n.oid
                    where n.nspname || '.' || c.relname = split_part(p.survivor, ' ', 1)
                ) as survivor_relation,
                w.place,
                split_part(w.word, '=', 1) as survivor_column,
                split_part(w.word, '=', 2) as raw_column
            from policies as p
            cross join string_to_table(p.survivor, ' ') with ordinality as w (word, place)
        ),

        allowed_states as (
            select distinct c.relation, c.name, btrim(s.word) as state
            from columns as c
            join pg_constraint as k on c.relation = k.conrelid and k.contype = 'c' and k.conkey = array[c.place]
            cross join regexp_matches(pg_get_constraintdef(k.oid), '''([^'']+)''', 'g') as q (words)
            cross join regexp_split_to_table(btrim(q.words[1], '{}'), ',') as s (word)
        ),

        keys as (
            select
                k.conname as name,
                k.confdeltype as on_delete,
                parent.table_name as parent,
                child.table_name as child,
                parent.active_to as parent_active_to,
                child.active_to as child_active_to,
                case when parent.finally <> 'keep' or parent.cold_for is not null then parent.archived_to else 'infinity' end as parent_left_at,
                case when child.finally <> 'keep' or child.cold_for is not null then child.archived_to else 'infinity' end as child_left_at,
                parent.active_for as parent_term,
                coalesce(child.active_for, 'for ever') as child_term
            from pg_constraint as k
            join policies as parent on k.confrelid = parent.relation
            join policies as child on k.conrelid = child.relation
            where k.contype = 'f' and k.conparentid = 0 and parent.relation <> child.relation
                and parent.active is not null
        )

        select format('The policy for %s names no raw table: correct table_name, capitals and spaces included.', coalesce(p.table_name, '?'))
        from policies as p
        where p.relation is null
        union all
        select format('%s has no policy: add one, with finally = keep if its rows stay.', t.table_name)
        from raw_tables as t
        where not exists (select from policies as p where p.relation = t.relation)
        union all
        select format('The policy for %s says %s = %s: write a term such as P90D, P6M or P1Y6M, of at most 500 years.', p.table_name, f.field, f.term)
        from policies as p
        cross join lateral (
            values
            ('active_for', p.active_for), ('archived_for', p.archived_for), ('cold_for', p.cold_for),
            ('payload_for', p.payload_for), ('at_least', p.at_least)
        ) as f (field, term)
        where f.term is not null and ops.interval_of(f.term) is null
        union all
        select format(
            'The policy for %s ends with %s: write purge, aggregate or keep.', p.table_name, coalesce(p.finally, 'nothing')
        )
        from policies as p
        where p.finally is null or p.finally not in ('purge', 'aggregate', 'keep')
        union all
        select format('The policy for %s has a term and no clock, or no term and does not keep: fill in both.', p.table_name)
        from policies as p
        where (p.active_for is null) <> (p.clock is null) or (p.active_for is null and p.finally <> 'keep')
        union all
        select format(
            'The policy for %s ends with %s and %s survivor: name what is to stay of an aggregate, and of nothing else.',
            p.table_name, p.finally, case when p.survivor is null then 'has no' else 'names a' end
        )
        from policies as p
        where (p.finally = 'aggregate') <> (p.survivor is not null)
        union all
        select distinct format(
            'The policy for %s names the survivor %s: write a table, * or its column that counts, and sums such as total=value.',
            s.table_name, s.survivor
        )
        from survivors as s
        where not s.is_readable
        union all
        select format('The policy for %s sums %s for its survivor, which is no column of it.', s.table_name, s.raw_column)
        from survivors as s
        where s.is_readable and s.place > 2 and s.relation is not null
            and not exists (select from columns as c where c.relation = s.relation and c.name = s.raw_column)
        union all
        select format(
            'The policy for %s names %s of %s, which is no column of that survivor.',
            s.table_name, s.survivor_column, s.survivor_relation::regclass
        )
        from survivors as s
        where s.is_readable and s.place > 1 and s.survivor_column <> '*' and s.survivor_relation is not null
            and not exists (
                select from pg_attribute as a
                where a.attrelid = s.survivor_relation and a.attname = s.survivor_column and a.attnum > 0 and not a.attisdropped
            )
        union all
        select format(
            'The policy for %s ends with %s, but its rows cannot leave: it has neither months nor an archive.',
            p.table_name, p.finally
        )
        from policies as p
        join raw_tables as t on p.relation = t.relation
        where p.finally <> 'keep' and p.state_column is distinct from 'verdict'
            and ops.month_clock(p.relation) is null
        union all
        select format(
            'The policy for %s goes by %s, but its rows leave by months of %s: add one that goes by that.',
            p.table_name, p.clock, ops.month_clock(p.relation)
        )
        from policies as p
        join raw_tables as t on p.relation = t.relation
        where p.finally <> 'keep' and t.month_column is null
            and not exists (
                select from policies as o
                where o.relation = p.relation and quote_ident(o.clock) = ops.month_clock(p.relation)
            )
            and ops.month_clock(p.relation) is not null
        union all
        select format('The policy for %s has no reason: name the document or law it comes from.', p.table_name)
        from policies as p
        where p.reason is null
        union all
        select format('The policy for %s is there twice: keep one per clock and states.', p.table_name)
        from policies as p
        group by p.table_name, p.clock, p.states
        having count(*) > 1
        union all
        select format('The policy for %s names %s as %s, which is no column of it.', n.table_name, n.name, n.field)
        from named as n
        where n.relation is not null
            and (n.table_name, n.field, n.name) <> ('traceability.success_patterns', 'state_column', 'verdict')
            and not exists (select from columns as c where c.relation = n.relation and c.name = n.name)
        union all
        select format('The policy for %s goes by %s, which is no time with a zone.', p.table_name, p.clock)
        from policies as p
        join columns as c on p.relation = c.relation and p.clock = c.name
        where c.type <> 'timestamptz'::regtype
        union all
        select format(
            'The policy for %s goes by %s, but its months are those of %s: write that.', p.table_name, p.clock, c.name
        )
        from policies as p
        join raw_tables as t on p.relation = t.relation
        join columns as c on t.relation = c.relation and t.month_column = c.place
        where p.clock <> c.name
        union all
        select format(
            'The policy for %s asks for states or whole trees, but it moves by whole months: leave them empty.', p.table_name
        )
        from policies as p
        join raw_tables as t on p.relation = t.relation
        where t.month_column is not null and (p.state_column is not null or p.together_by is not null)
        union all
        select format('The policy for %s has states and no state_column, or the other way round.', p.table_name)
        from policies as p
        where (p.state_column is null) <> (p.states is null)
        union all
        select format('The policy for %s asks for an archive, which %s does not have.', p.table_name, p.table_name)
        from policies as p
        where p.archived_for is not null and p.relation is not null and ops.archive_of(p.relation) is null
        union all
        select format(
            'Rows of %s with %s %s have no policy: they would stay for ever.', p.table_name, p.state_column, s.state
        )
        from (select distinct relation, table_name, state_column from policies where state_column is not null) as p
        join allowed_states as s on p.relation = s.relation and p.state_column = s.name
        where s.state <> all('{pending,running,in_progress,active,paused}')
            and not exists (
                select from policies as o
                where o.relation = p.relation
                    and (o.states is null or s.state = any(string_to_array(o.states, ' ')))
            )
        union all
        select format('The policy for %s has payload columns and no payload_for, or the other way round.', p.table_name)
        from policies as p
        where (p.payload_columns is null) <> (p.payload_for is null)
        union all
        select format(
            'The policy for %s keeps payloads for %s, longer than its rows are in the database: they would stay in the files.',
            p.table_name, p.payload_for
        )
        from policies as p
        where timestamp '2000-01-01' + ops.interval_of(p.payload_for) > p.archived_to
            and (p.finally <> 'keep' or p.cold_for is not null)
        union all
        select format(
            'The policy for %s has the payload columns %s: write names with spaces between, and keys to keep as in content(type).',
            p.table_name, p.payload_columns
        )
        from policies as p
        where p.payload_columns !~ '^[a-z_][a-z0-9_]*(\([^() ]+( [^() ]+)*\))?( [a-z_][a-z0-9_]*(\([^() ]+( [^() ]+)*\))?)*$'
        union all
        select format('The policy for %s names %s as a payload, which is no column of it.', p.table_name, y.column_name)
        from policies as p
        cross join ops.payload_parts(p.payload_columns) as y
        where p.relation is not null
            and not exists (select from columns as c where c.relation = p.relation and c.name = y.column_name)
        union all
        select format('The policy for %s keeps keys of %s, which is no JSON: leave them out.', p.table_name, y.column_name)
        from policies as p
        cross join ops.payload_parts(p.payload_columns) as y
        join columns as c on p.relation = c.relation and y.column_name = c.name
        where y.kept_keys is not null and c.type <> 'jsonb'::regtype
        union all
        select format(
            'The policy for %s takes %s, which %s reads: name the keys to keep, as in %s(type), or leave it.',
            p.table_name, y.column_name, v.readers[1], y.column_name
        )
        from policies as p
        cross join ops.payload_parts(p.payload_columns) as y
        cross join lateral (select ops.views_that_read(p.relation, y.column_name) as readers) as v
        where p.relation is not null and y.kept_keys is null and v.readers <> '{}'
        union all
        select format(
            '%s would leave after %s, before %s (%s), whose key %s %s: give it at least as long an active_for.',
            k.parent, k.parent_term, k.child, k.child_term, k.name,
            case k.on_delete
                when 'c' then 'takes those rows along, and refuses late ones'
                else 'forbids it'
            end
        )
        from keys as k
        where k.parent_active_to < coalesce(k.child_active_to, 'infinity') and k.on_delete in ('c', 'r', 'a')
        union all
        select format(
            '%s leaves the database while rows of %s that belong to it stay: lengthen its terms, or shorten theirs.',
            k.parent, k.child
        )
        from keys as k
        where k.parent_left_at < coalesce(k.child_left_at, 'infinity') and k.on_delete in ('c', 'r', 'a')
        union all
        select format(
            '%s leaves the database after %s, within the 31 days that models reach back: lengthen active_for or archived_for.',
            p.table_name, p.active_for || coalesce(' and ' || p.archived_for, '')
        )
        from policies as p
        where (p.finally <> 'keep' or p.cold_for is not null) and p.archived_to < timestamp '2000-01-01' + interval '31 days'
        union all
        select format('%s is kept for less than %s, which must be: %s.', p.table_name, p.at_least, p.reason)
        from policies as p
        where p.gone_at < timestamp '2000-01-01' + ops.interval_of(p.at_least)
        union all
        select format(
            'Tenant %s has terms of its own for %s, which %s: delete them from ops.retention_overrides.',
            o.tenant_id, o.table_name,
            case
                when not exists (select from policies as p where p.table_name = o.table_name and p.active is not null)
                    then 'has none by policy'
                else 'does not say whose its rows are'
            end
        )
        from ops.retention_overrides as o
        where not exists (select from policies as p where p.table_name = o.table_name and p.active is not null)
            or not exists (
                select from columns as c where c.relation = to_regclass(o.table_name) and c.name = 'tenant_id'
            )
        union all
        select format(
            'Tenant %s keeps %s for less than %s, which must be: %s.', o.tenant_id, p.table_name, p.at_least, p.reason
        )
        from ops.retention_overrides as o
        join policies as p on o.table_name = p.table_name
        where p.finally <> 'keep'
            and timestamp '2000-01-01'
            + coalesce(o.active_for, p.active) + coalesce(o.archived_for, ops.interval_of(p.archived_for), interval '0')
            + coalesce(o.cold_for, ops.interval_of(p.cold_for), interval '0')
            < timestamp '2000-01-01' + ops.interval_of(p.at_least)
    $sql$, '{policies}', policies::text);
end
$function$;

comment on function ops.retention_findings(regclass) is
'Why the policies in a table such as seeds.retention_policies cannot work: a sentence per row, '
'none if they can.';

revoke all on function ops.rows_after_archiving() from public;
revoke all on function ops.retention_findings(regclass) from public;
grant execute on function ops.rows_after_archiving() to agentbooks_refresher, agentbooks_retention;
grant execute on function ops.retention_findings(regclass) to agentbooks_refresher, agentbooks_retention;
