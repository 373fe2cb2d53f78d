"""
Laboratories are programs that run for minutes or hours: `nox -s kill`, `nox -s fuzz`. pytest leaves them alone.
"""

collect_ignore_glob = ["*.py"]
