drop table agentic.schema_versions;
