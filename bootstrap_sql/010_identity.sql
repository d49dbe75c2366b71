-- The two questions that every policy asks: who is calling, and for which tenant. One place answers
-- them, so that plain PostgreSQL and Supabase need no two sets of policies.
--
-- Their names are resolved once, here, so no search_path can bend them. A pinned one would keep them
-- from being inlined, and each insert asks for the tenant.

set local role agentbooks_owner;

create function ops.caller_claim(claim text) returns text
language sql
stable
parallel safe
return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> claim, '');

comment on function ops.caller_claim(text) is
'A claim of the caller''s JSON web token, as PostgREST and Supabase hand it over; null without one.';

create function ops.caller_user_id() returns text
language sql
stable
parallel safe
return coalesce(nullif(current_setting('app.user_id', true), ''), ops.caller_claim('sub'));

comment on function ops.caller_user_id() is
'The calling user: the setting app.user_id, else the token''s subject, else null (anonymous).';

create function ops.caller_tenant_id() returns text
language sql
stable
parallel safe
return coalesce(nullif(current_setting('app.tenant_id', true), ''), ops.caller_claim('tenant_id'), 'default');

comment on function ops.caller_tenant_id() is
'The calling tenant: the setting app.tenant_id, else the token''s tenant_id, else ''default'', the '
'one tenant of an installation without tenants.';

create function ops.caller_user_uuid() returns uuid
language sql
stable
parallel safe
return substring(
    ops.caller_user_id() from '^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'
)::uuid;

comment on function ops.caller_user_uuid() is
'The calling user as a uuid; null when anonymous or when the id is no uuid: no row is theirs then.';
