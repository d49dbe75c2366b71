drop table observability.workflows;
drop table observability.profiles;
drop function observability.caller_profile_id();
drop schema observability;
