"""The servers, one of each contestant, each written as the users of that library write them.

    /echo      sends back each text
    /json      decodes each message, and encodes it again
    /room      subscribes to the one room
    /publish   decodes each message, encodes it anew once, and broadcasts it to the room

A module `…_app` has an ASGI application, a module `…_server` is a program that is given its port.
"""
