"""The console's widgets: each draws one part of a snapshot and knows no cluster.

Imports the console's text and view; imported by the screens.
"""
