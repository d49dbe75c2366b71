"""Keeping rows as long as the policies say."""
