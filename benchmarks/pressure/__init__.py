"""What peers that flood, and peers that do not read, can make a server hold in memory.

__main__     the command line; README.md, one folder up, says how to read what it prints
app          the application under pressure
scenes       what its peers do, what the limits leave to them, and what that takes of memory
"""
