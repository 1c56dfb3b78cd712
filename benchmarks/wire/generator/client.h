// One WebSocket client: its socket, its buffers, and the phase that it is in.
#pragma once

#include <stdbool.h>

#include "buffer.h"
#include "websocket.h"

typedef enum { CLOSED, CONNECTING, UPGRADING, OPEN, LEAVING } Phase;

typedef struct {
    int fd;
    Phase phase;
    const char *path;
    uint64_t connecting_since;
    bool waits_to_write;
    Buffer out;        // what the socket did not take yet
    Buffer in;         // a frame of which only a part is here
    Buffer fragments;  // a message of which only a part is here

    // For the workload.
    uint32_t number, sent, received;
    bool publishes;
    uint64_t *sent_at;  // a ring of as many as may be in flight
} Client;

// What a client tells the workload.
typedef struct {
    void (*opened)(Client *);
    void (*received)(Client *, const uint8_t *text, size_t size);
    void (*closed)(Client *);
} Listener;

void clients_start(int port, const Listener *listener);

void client_connect(Client *client);
void client_send(Client *client, const void *text, size_t size);
void client_leave(Client *client);

// Wait for at most so many ms, and handle what has happened. True where a line came from stdin;
// exits where stdin has ended, since whoever started us is gone then.
bool clients_handle_events(int milliseconds);
