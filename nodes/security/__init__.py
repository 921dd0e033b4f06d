"""Who may do what, and how it is shown: roles, tokens, sessions, signed cursors, certificates, TLS.

Imports support and transport; imported by dispatch and all above.
"""
