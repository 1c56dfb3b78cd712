"""WebSocket servers side by side, under a load that comes over the wire.

__main__       the command line; README.md, one folder up, says how to read what it prints
contestants    who is measured: how each server, of `servers`, is started
workloads      what is measured: echoes, a room, handshakes, idle connections
measuring      one server under one workload: its CPU time, its memory
processes      a server and the generator as processes that do not outlive us
generator      the load, in C: main.c says how it is told what to do
results        medians, spreads, ratios; pure
report         the tables of a run, as Markdown; pure
plots          the same as pictures
instructions   the figure that another process cannot disturb
"""
