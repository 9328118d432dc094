"""What is measured beside the tables: robustness, pathology, learning curve, LAFR's maps, embeddings.

Each probe takes paths of runs or score files and writes CSV files and pictures; ``cafrnet reproduce`` calls them.
"""
