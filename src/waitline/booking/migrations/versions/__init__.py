"""The steps by name, for Alembic."""
