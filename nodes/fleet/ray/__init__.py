"""Workers on the nodes of a Ray cluster: keepers there, one side process here that asks Ray.

Nothing here imports Ray but the side process and the keepers, when they run.
"""
