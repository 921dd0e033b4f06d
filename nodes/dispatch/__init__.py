"""One lookup's life, carried out: sent, hedged, rerouted, its answer checked; batches of them.

Imports routing (which decides), transport and security; imported by master and client.
"""
