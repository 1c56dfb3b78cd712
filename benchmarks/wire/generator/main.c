// A load of WebSockets, from one thread on one epoll, over the loopback interface.
//
//     generator echo --port 8000 --path /echo --connections 100 --seconds 0.8
//
// The clients connect, and do for a while what they will do later on. Then the dialogue with
// whoever started us, who reads the clocks of the server in between:
//
//     we print      READY
//     we are told   a line
//     we print      the figures, as JSON
//     we are told   a line, and exit; the clients were connected until now
//
// General layout:
//
//     workload     what the clients do, and whether what comes back is right
//     payload      the texts that they send
//     client       their sockets, and what they read and write
//     websocket    frames and handshakes, without I/O
//     tally        what was counted
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tally.h"
#include "workload.h"

enum { MOST_SECONDS = 150 };  // of all: a server that hangs does not hold us
static const double WARM_UP = 0.2, SUBSCRIBING = 0.2, MOST_TO_SETTLE = 5;

static Options read_options(int count, char **arguments) {
    Options options = {
        .path = "/echo", .publish_path = "/publish", .connections = 100, .window = 1, .seconds = 1,
    };
    if (count < 2) give_up("usage: generator echo|fanout|connect|idle --port PORT …");
    options.workload = arguments[1];
    for (int i = 2; i < count; i++) {
        const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : "";
        bool flag = false;
        if (!strcmp(name, "--port")) options.port = atoi(value);
        else if (!strcmp(name, "--path")) options.path = value;
        else if (!strcmp(name, "--publish")) options.publish_path = value;
        else if (!strcmp(name, "--connections")) options.connections = atoi(value);
        else if (!strcmp(name, "--seconds")) options.seconds = atof(value);
        else if (!strcmp(name, "--window")) options.window = atoi(value);
        else if (!strcmp(name, "--json")) options.json = flag = true;
        else if (!strcmp(name, "--socketio")) options.socketio = flag = true;
        else give_up(name);
        if (!flag) i++;
    }
    if (options.connections < 1 || options.window < 1) give_up("nobody is to connect");
    return options;
}

static void handle_events_for(double seconds) {
    for (uint64_t end = now() + (uint64_t)(seconds * 1e9); now() < end;) clients_handle_events(10);
}

static void wait_for_line(void) {
    while (!clients_handle_events(1000)) continue;
}

static void exchange_messages(double seconds) {
    workload_begin();
    handle_events_for(seconds);
    workload_end();
    uint64_t deadline = now() + (uint64_t)(MOST_TO_SETTLE * 1e9);
    while (!workload_settled() && !errors() && now() < deadline) clients_handle_events(10);
    if (!workload_settled()) note_error("messages were lost");
}

int main(int count, char **arguments) {
    alarm(MOST_SECONDS);
    Options options = read_options(count, arguments);
    workload_open(&options);
    // A server subscribes a client after it has answered its handshake.
    handle_events_for(SUBSCRIBING);
    exchange_messages(WARM_UP);
    if (errors()) give_up("the warm-up failed");

    puts("READY");
    fflush(stdout);
    wait_for_line();
    tally_start();
    exchange_messages(options.seconds);
    tally_report();
    wait_for_line();
    return 0;
}
