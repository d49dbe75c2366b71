drop table observability.workflows;
drop table observability.profiles;
drop schema observability;
