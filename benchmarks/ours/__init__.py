"""
The side of the library: each module prepares what one line measures, as somebody who uses the library would write it.
"""
