// What the clients do: one workload is run by a process, and it checks whatever comes back.
#pragma once

#include <stdbool.h>

#include "client.h"

typedef struct {
    const char *workload;  // echo, fanout, connect, idle
    const char *path, *publish_path;
    int port, connections, window;
    double seconds;
    bool json, socketio;
} Options;

// Make the clients; connect them, unless connecting is the workload.
void workload_open(const Options *options);

// Send what starts the traffic: each answer is followed by the next message.
void workload_begin(void);

// Send nothing more.
void workload_end(void);

// Tell whether everything that was sent has come back.
bool workload_settled(void);
