"""The paper's figures on the user's own data, each with the rule by which it was made in its caption.

A function takes paths of runs, scores or tables, and writes a PNG and, beside it, its caption as text.
"""
