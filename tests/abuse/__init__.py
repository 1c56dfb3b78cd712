"""What a peer can do to hurt, each case against real servers, with the same expectations on each.

`field` has the server under attack and what must hold during every case; `test_coverage` ties the
cases to the threats. Whoever finds a new way to hurt adds a row to one of the tables.
"""
