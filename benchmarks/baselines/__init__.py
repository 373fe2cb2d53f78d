"""
The other side: the same work by hand, without the library. What these modules import is checked by the tests.
"""
