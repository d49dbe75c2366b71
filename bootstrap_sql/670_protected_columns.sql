-- Columns that applications encrypt, and what must not stand in them at all. The work is done outside,
-- where the keys are: no function here, no statement and no log ever sees one. What is here finds the
-- values that are not yet as they should be, and puts others in their place, unless somebody has written
-- there meanwhile.

set local role agentbooks_owner;

create table ops.protected_columns (
    table_name text not null check (to_regclass(table_name) is not null),
    column_name text not null check (column_name <> ''),
    is_encrypted boolean not null default false,
    redacted text[] not null default '{}',
    reason text not null check (reason <> ''),
    primary key (table_name, column_name),
    constraint protected_columns_say_something check (is_encrypted or redacted <> '{}')
);

comment on table ops.protected_columns is
'One row per column of a raw table that is encrypted where keys are given, or redacted. The loader does it '
'as it writes, `agentbooks encrypt` where rows are there.';
comment on column ops.protected_columns.table_name is
'Raw table, with its schema; its archive and files follow.';
comment on column ops.protected_columns.column_name is 'A column of type text or jsonb.';
comment on column ops.protected_columns.is_encrypted is
'Whether it is encrypted. Refused where staging, an index or the search for persons reads it.';
comment on column ops.protected_columns.redacted is
'What is replaced by [REDACTED] before: email, secret (credentials, by name or form), a path of keys in '
'JSON such as /client/email, or * for all.';
comment on column ops.protected_columns.reason is 'Why, such as the document or law.';

insert into ops.protected_columns (table_name, column_name, is_encrypted, reason)
values ('agentic.agent_decisions', 'decision_rationale', true, '004: the rationale is encrypted');

create table ops.encryption_keys (
    key_id text not null primary key check (key_id ~ '^[A-Za-z0-9_-]{1,32}$'),
    fingerprint text not null check (fingerprint ~ '^[0-9a-f]{64}$'),
    noted_at timestamptz not null default clock_timestamp()
);

comment on table ops.encryption_keys is
'One row per key that the loader or `agentbooks encrypt` was ever given, so that another one by the same '
'name is found out before anything is written with it.';
comment on column ops.encryption_keys.key_id is 'Its name, which stands in each token.';
comment on column ops.encryption_keys.fingerprint is
'A hash of it, from which it does not follow: a key is 32 random bytes.';
comment on column ops.encryption_keys.noted_at is 'When it was first given.';

create table ops.loose_files (
    url text not null primary key,
    table_name text not null,
    month date not null,
    noted_at timestamptz not null default clock_timestamp()
);

comment on table ops.loose_files is
'One row per file that is about to be written or to be replaced: whoever died meanwhile has left it. It is '
'deleted unless ops.archive_files names it.';
comment on column ops.loose_files.url is 'Where it is, if it is there.';
comment on column ops.loose_files.table_name is 'Raw table, with its schema.';
comment on column ops.loose_files.month is 'First day of its month.';
comment on column ops.loose_files.noted_at is 'When it was noted.';

grant select, insert, update, delete on ops.protected_columns to agentbooks_retention;
grant select on ops.protected_columns to agentbooks_loader, service_role;
grant select on ops.encryption_keys, ops.loose_files to agentbooks_retention;

insert into ops.personal_data (table_name, fate)
values ('ops.protected_columns', 'keep'), ('ops.encryption_keys', 'keep'), ('ops.loose_files', 'keep');

create function ops.row_identity(hot regclass) returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select array_agg(a.attname::text order by a.attname)
    from pg_index as i
    join pg_attribute as a on i.indrelid = a.attrelid and a.attnum = any(i.indkey)
    left join pg_partitioned_table as p on i.indrelid = p.partrelid
    where i.indrelid = hot and i.indisprimary and (p.partattrs[0] = a.attnum) is not true
);

comment on function ops.row_identity(regclass) is
'Columns whose values say which row of a table it is: its primary key, without the time that it is '
'partitioned by, as a correction may move that. A token is bound to them.';

create function ops.note_encryption_key(key_id text, fingerprint text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    insert into ops.encryption_keys as k (key_id, fingerprint)
    values (note_encryption_key.key_id, note_encryption_key.fingerprint)
    on conflict do nothing;
    perform
    from ops.encryption_keys as k
    where k.key_id = note_encryption_key.key_id and k.fingerprint = note_encryption_key.fingerprint;
    if not found then
        raise exception
            'note_encryption_key: key % is another one than before; give the right one, or the new one another name',
            key_id
            using errcode = 'invalid_parameter_value';
    end if;
end
$function$;

comment on function ops.note_encryption_key(text, text) is
'Notes a key by its fingerprint; refuses another one by the name of one that is known.';

create function ops.protection_refusals() returns setof text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    protected record;
    refusing record;
    is_refused boolean;
begin
    for protected in
        select
            p.*,
            p.table_name || '.' || p.column_name as name,
            c.oid as relation,
            a.attnum,
            format_type(a.atttypid, null) as type,
            c.relnamespace::regnamespace::text = any('{raaf,observability,traceability,chat,agentic}')
            and c.relkind in ('r', 'p') and not c.relispartition as is_raw
        from ops.protected_columns as p
        left join pg_class as c on to_regclass(p.table_name) = c.oid
        left join pg_attribute as a
            on c.oid = a.attrelid and p.column_name = a.attname and a.attnum > 0 and not a.attisdropped
        order by p.table_name, p.column_name
    loop
        if protected.is_raw is not true then
            return next format('%s is no raw table', protected.table_name);
        elsif protected.table_name = 'agentic.agent_audit_log' then
            return next format('%s cannot be rewritten, as the log is insert only', protected.name);
        elsif protected.type is null or protected.type not in ('text', 'jsonb') then
            return next format('%s is no column of type text or jsonb', protected.name);
        elsif exists (
            select from unnest(protected.redacted) as w (word)
            where (
                w.word in ('email', 'secret', '*') or protected.type = 'jsonb' and w.word ~ '^(/[^/]+)+$'
            ) is not true
        ) then
            return next format(
                '%s redacts what nobody knows: write email, secret, *, or of JSON a path such as /client/email',
                protected.name
            );
        end if;
        continue when not protected.is_encrypted or protected.type is null;

        return query
        select format('%s is read by %s, which cannot decrypt it', protected.name, v.readers[1])
        from ops.views_that_read(protected.relation, protected.column_name) as v (readers)
        where v.readers <> '{}'
        union all
        select format(
            '%s carries %s, which must read it', protected.name, min(pg_describe_object(d.classid, d.objid, 0))
        )
        from pg_depend as d
        left join pg_class as c on d.classid = 'pg_class'::regclass and d.objid = c.oid
        where
            d.refclassid = 'pg_class'::regclass
            and d.refobjid = protected.relation and d.refobjsubid = protected.attnum
            and (c.relkind in ('i', 'I') or d.classid = 'pg_attrdef'::regclass and d.deptype <> 'a')
        having count(*) > 0
        union all
        select format('%s is searched for persons when they are erased', protected.name)
        from ops.personal_data as p
        where
            p.table_name = protected.table_name
            and (
                protected.column_name = any(p.scrubbed)
                or array_to_string(p.ties || p.finds, ' ') ~ ('\m' || protected.column_name || '\M')
            );

        for refusing in
            select k.conname, pg_get_expr(k.conbin, k.conrelid) as condition
            from pg_constraint as k
            where k.conrelid = protected.relation and k.contype = 'c' and k.conkey = array[protected.attnum]
        loop
            execute format(
                'select (%s) is false from (select %L::%s as %I) as r', refusing.condition,
                case protected.type when 'jsonb' then '{"encrypted": "abk1.k.0"}' else 'abk1.k.0' end,
                protected.type, protected.column_name
            ) into is_refused;
            if is_refused then
                return next format('%s has the check %s, which refuses tokens', protected.name, refusing.conname);
            end if;
        end loop;
    end loop;
end
$function$;

comment on function ops.protection_refusals() is
'Why columns of ops.protected_columns cannot be protected as it says: a sentence per row, none if they can.';

create function ops.protected_places(hot regclass)
returns table (relation regclass, place text, blocks bigint)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select
        l.relation,
        ops.relation_name(r.relation) as place,
        pg_relation_size(l.relation) / current_setting('block_size')::bigint as blocks
    from unnest(array[hot, ops.archive_of(hot)]) as r (relation)
    cross join lateral (
        select t.relid as relation
        from pg_partition_tree(r.relation) as t
        where t.isleaf
        union all
        select c.oid::regclass
        from pg_class as c
        where c.oid = r.relation and c.relkind = 'r'
    ) as l
    where ops.relation_name(hot) in (select p.table_name from ops.protected_columns as p)
    order by r.relation <> hot, l.relation::text;
end;

comment on function ops.protected_places(regclass) is
'Partitions of a table that has protected columns, and of its archive, with their sizes in blocks.';

-- By blocks and not by an index: each is looked at once, and what is written meanwhile stands behind.
create function ops.protected_values(
    hot regclass, column_name text, relation regclass, after_row tid, before_block bigint,
    done text default null, batch int default 1000
)
returns table (place tid, version xid, identity text[], content text, is_held boolean)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set synchronize_seqscans = off
set max_parallel_workers_per_gather = 0
as $function$
declare
    protected ops.protected_columns;
begin
    select * into protected
    from ops.protected_columns as p
    where p.table_name = ops.relation_name(hot) and p.column_name = protected_values.column_name;
    if not found then
        raise exception 'protected_values: % of % is not in ops.protected_columns', column_name, hot
            using errcode = 'invalid_parameter_value';
    end if;
    if not exists (select from ops.protected_places(hot) as p where p.relation = protected_values.relation) then
        return;
    end if;
    return query execute format(
        'select h.ctid, h.xmin, array[%1$s], h.%2$I::text, %3$s from %4$s as h '
        'where h.ctid > $1 and h.ctid < $2 and h.%2$I is not null and %5$s limit $3',
        (select string_agg(format('h.%I::text', n), ', ' order by n) from unnest(ops.row_identity(hot)) as n),
        protected.column_name,
        -- What a court has asked for is not redacted.
        coalesce((
            select string_agg(
                format('(select %s from (select h.*) as r) is true', ops.hold_condition(hot, l)), ' or '
            )
            from ops.legal_holds as l
            where
                l.released_at is null and protected.redacted <> '{}'
                and coalesce(l.table_name, protected.table_name) = protected.table_name
        ), 'false'),
        relation,
        coalesce(
            (
                select format(
                    case a.atttypid
                        when 'jsonb'::regtype
                            then 'not coalesce(starts_with(h.%I ->> ''encrypted'', %L), false)'
                        else 'not starts_with(h.%I, %L)'
                    end,
                    a.attname, done
                )
                from pg_attribute as a
                where a.attrelid = hot and a.attname = protected.column_name and done is not null
            ),
            'true'
        )
    ) using after_row, format('(%s,0)', before_block)::tid, batch;
end
$function$;

comment on function ops.protected_values(regclass, text, regclass, tid, bigint, text, int) is
'Up to batch values of a protected column behind a row and before a block of one of ops.protected_places, '
'with the version of their rows and what a token is bound to; without those that begin with done.';

create function ops.is_held_since(held text, known_holds bigint) returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
    select from ops.legal_holds as h
    where h.hold_id > known_holds and h.released_at is null and coalesce(h.table_name = held, true)
);

comment on function ops.is_held_since(text, bigint) is
'Whether a hold that may cover rows of a table was placed after one that was the last then.';

create function ops.rewrite_values(
    hot regclass, column_name text, relation regclass, places tid[], versions xid[], contents text[],
    known_holds bigint
)
returns text[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
-- So that rows are gone to by their places.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $function$
declare
    -- What models read is a change of what they say; a token in the place of a text that they do not is none.
    is_change constant boolean := ops.views_that_read(hot, column_name) <> '{}';
    protected ops.protected_columns;
    keys text;
    type text;
    rewritten text[];
begin
    select * into protected
    from ops.protected_columns as p
    where p.table_name = ops.relation_name(hot) and p.column_name = rewrite_values.column_name;
    if not found then
        raise exception 'rewrite_values: % of % is not in ops.protected_columns', column_name, hot
            using errcode = 'invalid_parameter_value';
    end if;
    perform ops.take_lifecycle_lock();
    if not exists (select from ops.protected_places(hot) as p where p.relation = rewrite_values.relation)
        or ops.is_held_since(protected.table_name, known_holds) then
        return '{}';
    end if;
    select format_type(a.atttypid, a.atttypmod) into type
    from pg_attribute as a
    where a.attrelid = hot and a.attname = protected.column_name;
    select c.keys into keys
    from ops.captured_tables as c
    where c.table_name = protected.table_name and is_change;

    perform ops.set_lifecycle(true);
    -- To look at a page drops what has been replaced there before: with room on their pages, rows need no new
    -- entries in indexes.
    execute format('select count(*) from %s where ctid between $1 and $2', relation)
    using places[1], places[cardinality(places)];
    -- A row is known by its place and its version: nobody has written it since it was read. Who is writing it
    -- now is not waited for.
    execute format(
        'with wanted as (select * from unnest($1, $2, $3) as w (place_, version_, content_)), '
        'mine as materialized (select h.ctid as place_, w.content_%1$s from wanted as w '
        'join %2$s as h on h.ctid = w.place_ and h.xmin = w.version_ for no key update of h skip locked), '
        'rewritten as (update %2$s as h set %3$I = m.content_::%4$s%5$s from mine as m '
        'where h.ctid = m.place_ returning h.*, m.place_)%6$s '
        'select coalesce(array_agg(r.place_::text), ''{}'') from rewritten as r',
        case when is_change then ', h.*' end,
        relation, protected.column_name, type,
        concat(
            case when is_change then ', change_id = pg_current_xact_id()::text::bigint' end,
            case
                when exists (
                    select from pg_trigger as t
                    where t.tgrelid = relation and t.tgfoid = to_regprocedure('agentic.require_next_version()')
                )
                then ', version = h.version + 1'
            end
        ),
        case
            when keys is not null then format(
                ', marked as (insert into ops.changes (table_name, keys) select %L, to_jsonb(k) from ('
                'select %2$s from mine union select %2$s from rewritten) as k)',
                protected.table_name, keys
            )
        end
    )
    into rewritten using places, versions, contents;
    perform ops.set_lifecycle(false);
    return rewritten;
end
$function$;

comment on function ops.rewrite_values(regclass, text, regclass, tid[], xid[], text[], bigint) is
'Puts contents in the place of values that ops.protected_values gave; returns of which, as rows that were '
'written since, or are being written, are left alone, and all if the table is held by more than was known. '
'Where staging reads the column it is a change, elsewhere rows keep their change_id.';

create function ops.note_loose_files(table_name text, month date, urls text[]) returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    insert into ops.loose_files (url, table_name, month)
    select u.url, note_loose_files.table_name, note_loose_files.month
    from unnest(urls) as u (url)
    on conflict do nothing;
end;

comment on function ops.note_loose_files(text, date, text[]) is
'Notes files of a month that are about to be written, or replaced: see ops.loose_files.';

create function ops.replace_file(
    url text, new_url text, new_bytes bigint, new_sha256 text, new_checksums jsonb, known_holds bigint
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    perform ops.take_lifecycle_lock();
    update ops.archive_files as f
    set url = new_url, bytes = new_bytes, sha256 = new_sha256, checksums = new_checksums
    where f.url = replace_file.url and f.state = 'verified' and not ops.is_held_since(f.table_name, known_holds);
    return found;
end
$function$;

comment on function ops.replace_file(text, text, bigint, text, jsonb, bigint) is
'Enters the file that takes the place of another with as many rows; false if that is no file any more, or '
'its table is held by more than was known.';

create function ops.forget_loose_file(url text) returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    delete from ops.loose_files as r where r.url = forget_loose_file.url;
end;

comment on function ops.forget_loose_file(text) is 'Says that a file of ops.loose_files is gone, or is none of them.';

revoke all on function ops.row_identity(regclass) from public;
revoke all on function ops.note_encryption_key(text, text) from public;
revoke all on function ops.protection_refusals() from public;
revoke all on function ops.protected_places(regclass) from public;
revoke all on function ops.protected_values(regclass, text, regclass, tid, bigint, text, int) from public;
revoke all on function ops.is_held_since(text, bigint) from public;
revoke all on function ops.rewrite_values(regclass, text, regclass, tid[], xid[], text[], bigint) from public;
revoke all on function ops.note_loose_files(text, date, text[]) from public;
revoke all on function ops.replace_file(text, text, bigint, text, jsonb, bigint) from public;
revoke all on function ops.forget_loose_file(text) from public;
grant execute on function ops.row_identity(regclass) to agentbooks_loader, agentbooks_retention, service_role;
grant execute on function ops.note_encryption_key(text, text) to agentbooks_loader, agentbooks_retention;
grant execute on function ops.protection_refusals() to agentbooks_loader, agentbooks_retention;
grant execute on function ops.protected_places(regclass) to agentbooks_retention;
grant execute on function ops.protected_values(regclass, text, regclass, tid, bigint, text, int)
to agentbooks_retention;
grant execute on function ops.rewrite_values(regclass, text, regclass, tid[], xid[], text[], bigint) to agentbooks_retention;
grant execute on function ops.note_loose_files(text, date, text[]) to agentbooks_retention;
grant execute on function ops.replace_file(text, text, bigint, text, jsonb, bigint) to agentbooks_retention;
grant execute on function ops.forget_loose_file(text) to agentbooks_retention;
