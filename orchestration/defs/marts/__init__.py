"""Building the marts with dbt."""
