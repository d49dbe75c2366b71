-- The extension stays: other schemas of the database may have come to use it.

select 1;
