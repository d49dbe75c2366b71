-- Marts name no person. What stands for one is a hash with this salt, so that a reader of the marts
-- who knows a list of users cannot find them by hashing it.

set local role agentbooks_owner;

create table ops.pseudonym_salt (
    is_only_row boolean not null primary key default true check (is_only_row),
    salt text not null default replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
);

comment on table ops.pseudonym_salt is
'One row: the secret behind every user_key in the marts. Whoever changes it renames every user.';
comment on column ops.pseudonym_salt.is_only_row is 'Always true: it keeps the table at one row.';
comment on column ops.pseudonym_salt.salt is '244 random bits, made when the table was.';

insert into ops.pseudonym_salt default values;

grant select on ops.pseudonym_salt to agentbooks_refresher;
