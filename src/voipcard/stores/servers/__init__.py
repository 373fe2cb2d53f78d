"""
What a store in a database server is made of: tables, questions, commits, and what went wrong.
"""
