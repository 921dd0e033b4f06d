"""One file to share: what a cluster did in a stretch of time, for people who were not there.

From what a master wrote down to frozen figures, from those to a page or a bundle; only `gather`
reads anything.
"""
