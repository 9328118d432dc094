"""The paper's experimental section as data over training and evaluation: :func:`reproduce` runs it.

Layout of a folder: :mod:`cafrnet.experiments.layout`. What is compared: :mod:`cafrnet.experiments.rows`. How
everything is made equal: :mod:`cafrnet.experiments.protocol`.
"""
