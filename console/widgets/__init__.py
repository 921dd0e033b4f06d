"""The console's widgets: each draws one part of a snapshot and knows no cluster."""
