"""Readers: files of records in, batches of records out, a module for each format.

`formats` says which suffix is whose; `source` opens a file, `lines` cuts it, and a reader yields
batches of records with their JSON text. One that cannot be used is reported with its place and the
reason, and reading goes on; a file that cannot be read at all raises `DataError`.
"""
