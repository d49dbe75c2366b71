set local role agentbooks_owner;

drop function ops.validate_checks(regclass);
drop function raaf.backfill_spans(int);
drop function raaf.name_agents(regclass);
drop function raaf.columns_from_attributes(text, text, jsonb);
drop function raaf.document(jsonb, text, text[]);
drop function raaf.attribute(jsonb, text);
drop table ops.backfills;
delete from ops.personal_data
where table_name = 'ops.backfills';
