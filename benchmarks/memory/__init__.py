"""What an idle connection, and an actor, takes of memory, and what that is made of.

__main__     the command line; README.md, one folder up, says how to read what it prints
subjects     what is weighed: crowds of connections and of actors, to which more can be added
scales       what weighs them: by type, by the line that allocated, by what the kernel counts
"""
