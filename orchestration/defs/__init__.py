"""What Dagster runs, by topic; the bodies call plain functions of the package."""
