"""What thousands of scans need beyond one: cases in several stages at once, batches of slices across cases,
a journal, parts for job arrays, and other machines.
"""
