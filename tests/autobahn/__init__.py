"""The Autobahn testsuite against every server and driver: `make autobahn`.

__main__     the command line: starts the servers one after the other, and counts the verdicts
app          the echo that the cases speak with
"""
