"""What is measured beside the tables: robustness, pathology, learning curve, LAFR's maps, embeddings.

Each probe takes paths of runs or score files and writes CSV files; ``cafrnet reproduce`` calls them.
What they write is drawn by :mod:`cafrnet.experiments.figures`.
"""
