-- What learning needs of the schema: errors by what is the same in their messages, and a way to take
-- back a use that it has logged, which the loader has no right to delete.

set local role agentbooks_owner;

create function traceability.error_message_pattern(message text) returns text
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
return (
    select left(btrim(regexp_replace(without_numbers, '\s+', ' ', 'g')), 300)
    from (
        -- Long messages are dumps, whose ends differ; only their beginnings are looked at.
        select regexp_replace(left(message, 2000), '\e\[[0-9;]*m', '', 'g') as plain
    ) as m
    cross join lateral (
        select regexp_replace(plain, 'https?://[^\s''"<>)\]]+', '<url>', 'g') as without_urls
    ) as u
    cross join lateral (
        select regexp_replace(
            without_urls,
            '\m\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[-+]\d\d:?\d\d)?)?',
            '<time>',
            'g'
        ) as without_times
    ) as t
    cross join lateral (
        select regexp_replace(
            without_times, '\m[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\M', '<id>', 'g'
        ) as without_uuids
    ) as i
    cross join lateral (
        -- Of a service's answer in JSON, what it names and says stays: keys, kinds and sentences.
        select regexp_replace(regexp_replace(regexp_replace(
            without_uuids, '(["''])([A-Za-z_]+)\1\s*:', '\2:', 'g'
        ), '\m(code|type|status): ?(["''])([A-Za-z_]+)\2', '\1: \3', 'g'
        ), '"(\S+ \S+ [^"]+)"|(?<!\w)''(\S+ \S+ [^'']+)''', '\1\2', 'g') as unwrapped
    ) as w
    cross join lateral (
        select regexp_replace(
            unwrapped, '"[^"]*"|(?<!\w)''[^'']*''|`[^`]*`', '<value>', 'g'
        ) as without_values
    ) as v
    cross join lateral (
        select regexp_replace(
            without_values, '(?<![\w<>])([A-Za-z]:)?([\\/][\w.@%+-]+){2,}[\\/]?', '<path>', 'g'
        ) as without_paths
    ) as p
    cross join lateral (
        -- Ids: words that have a digit and eight signs or more, or a prefix before an underscore.
        select regexp_replace(
            without_paths, '\m(?=\w*\d)(\w{8,}|[A-Za-z]+_\w*\d\w*)\M', '<id>', 'g'
        ) as without_ids
    ) as d
    cross join lateral (
        select regexp_replace(
            without_ids, '(?<![\w<])[-+]?\d+([.,:]\d+)*', '<n>', 'g'
        ) as without_numbers
    ) as n
);

comment on function traceability.error_message_pattern(text) is
'A message without what varies: addresses, ids, quoted values, paths and numbers, white space as one; at '
'most 300 signs. Messages of one kind of error have one pattern.';

revoke all on function traceability.error_message_pattern(text) from public;
grant execute on function traceability.error_message_pattern(text) to
    agentbooks_loader, agentbooks_refresher, service_role;

create function traceability.forget_learned_uses(ids uuid[], used_from timestamptz, used_to timestamptz)
returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    with forgotten as (
        delete from traceability.pattern_usage_log as l
        where
            l.id = any(ids)
            and l.used_at >= used_from
            and l.used_at < used_to
            and l.metadata ? 'learned'
        returning 1
    )

    select count(*) from forgotten;
end;

comment on function traceability.forget_learned_uses(uuid[], timestamptz, timestamptz) is
'Deletes uses that learning logged, and no others; returns how many.';

revoke all on function traceability.forget_learned_uses(uuid[], timestamptz, timestamptz) from public;
grant execute on function traceability.forget_learned_uses(uuid[], timestamptz, timestamptz) to
    agentbooks_loader;
