"""Records in PostgreSQL: catalogs that were loaded, each a table, and tables that others change.

The one package that imports psycopg. Imported where such records are served or loaded, and nowhere
else.
"""
