"""
The speed of the library beside that of hand-written code that does the same. See benchmarks/README.md.
"""
