#include "workload.h"

#include <stdlib.h>
#include <string.h>

#include "payload.h"
#include "tally.h"

enum {
    CONNECTING_AT_ONCE = 64,
    PUBLISHER = 7,  // the number in what is published
};
static const uint64_t MOST_TO_CONNECT = 60 * 1000000000ull;

typedef struct {
    void (*begin)(void);
    void (*opened)(Client *);
    void (*received)(Client *, const uint8_t *, size_t);
    void (*closed)(Client *);
    bool (*settled)(void);
} Workload;

static struct {
    const Options *options;
    const Workload *workload;
    Format format;
    Client *clients;
    int count, opened;
    bool sends;  // whether an answer is followed by the next message
} run;

static void nothing(void) {}
static void nothing_with(Client *client) { (void)client; }
static bool always(void) { return true; }

static void count_open(Client *client) {
    (void)client;
    run.opened++;
}

static void refuse_message(Client *client, const uint8_t *text, size_t size) {
    (void)client, (void)text, (void)size;
    note_error("a message came to somebody who awaits none");
}

// ---------------------------------------------------------------- echo

static void echo_send(Client *client, uint64_t time) {
    char text[MOST_TEXT];
    client->sent_at[client->sent % run.options->window] = time;
    client_send(client, text, write_text(text, run.format, client->number, client->sent++));
}

static void echo_begin(void) {
    for (int i = 0; i < run.count; i++)
        for (int sent = 0; sent < run.options->window; sent++) echo_send(&run.clients[i], now());
}

static void echo_received(Client *client, const uint8_t *text, size_t size) {
    if (!is_text(text, size, run.format, client->number, client->received))
        note_error("an echo is wrong, or out of order");
    uint64_t time = now();
    note_latency(time - client->sent_at[client->received++ % run.options->window]);
    count_message();
    if (run.sends) echo_send(client, time);
}

static bool echo_settled(void) {
    for (int i = 0; i < run.count; i++)
        if (run.clients[i].sent != run.clients[i].received) return false;
    return true;
}

// ---------------------------------------------------------------- fan-out

// One broadcast on its way. They end in the order of their publication, so that a ring of as many
// as may be in flight holds them.
typedef struct {
    uint64_t published_at;
    uint32_t copies;
    uint8_t first[MOST_TEXT];
    size_t size;
} Round;

static struct {
    Client *publisher;
    uint32_t published, delivered, subscribers;
    Round *rounds;
} fanout;

static void fanout_publish(void) {
    char text[MOST_TEXT];
    Round *round = &fanout.rounds[fanout.published % run.options->window];
    round->copies = 0;
    round->published_at = now();
    size_t size = write_text(text, run.format, PUBLISHER, fanout.published++);
    client_send(fanout.publisher, text, size);
}

static void fanout_begin(void) {
    for (int sent = 0; sent < run.options->window; sent++) fanout_publish();
}

static void check_first_copy(Round *round, uint32_t sequence, const uint8_t *text, size_t size) {
    if (!is_text(text, size, run.format, PUBLISHER, sequence) || size > sizeof round->first) {
        note_error("a broadcast is wrong, or out of order");
        size = 0;
    }
    memcpy(round->first, text, size);
    round->size = size;
}

static void fanout_received(Client *client, const uint8_t *text, size_t size) {
    if (client->publishes) {
        refuse_message(client, text, size);
        return;
    }
    Round *round = &fanout.rounds[client->received % run.options->window];
    if (!round->copies)
        check_first_copy(round, client->received, text, size);
    else if (size != round->size || memcmp(text, round->first, size))
        note_error("a copy of a broadcast differs from the first, or is out of order");
    client->received++;
    count_message();
    if (++round->copies < fanout.subscribers) return;
    note_latency(now() - round->published_at);
    fanout.delivered++;
    if (run.sends) fanout_publish();
}

static bool fanout_settled(void) { return fanout.delivered == fanout.published; }

static void fanout_prepare(void) {
    fanout.subscribers = run.count - 1;
    fanout.rounds = calloc(run.options->window, sizeof *fanout.rounds);
    fanout.publisher = &run.clients[run.count - 1];
    fanout.publisher->publishes = true;
    fanout.publisher->path = run.options->publish_path;
}

// ---------------------------------------------------------------- connect

static void connect_begin(void) {
    for (int i = 0; i < run.count; i++) client_connect(&run.clients[i]);
}

static void connect_opened(Client *client) {
    note_latency(now() - client->connecting_since);
    client_leave(client);
}

static void connect_closed(Client *client) {
    count_message();
    if (run.sends) client_connect(client);
}

static bool connect_settled(void) {
    for (int i = 0; i < run.count; i++)
        if (run.clients[i].phase != CLOSED) return false;
    return true;
}

// ---------------------------------------------------------------- Socket.IO

// Its server greets with "0…", takes a "40", and answers with "40…"; from then on it carries
// events, and asks "2" now and then whether somebody is there.
static void socketio_received(Client *client, const uint8_t *text, size_t size) {
    bool event = size >= 2 && !memcmp(text, "42", 2), joined = size >= 2 && !memcmp(text, "40", 2);
    if (event)
        run.workload->received(client, text, size);
    else if (joined)
        run.workload->opened(client);
    else if (size && *text == '0')
        client_send(client, "40", 2);
    else if (size && *text == '2')
        client_send(client, "3", 1);
    else
        note_error("Socket.IO says what we do not understand");
}

// ---------------------------------------------------------------- all of them

static const Workload ECHO = {
    .begin = echo_begin,
    .opened = count_open,
    .received = echo_received,
    .closed = nothing_with,
    .settled = echo_settled,
};
static const Workload FANOUT = {
    .begin = fanout_begin,
    .opened = count_open,
    .received = fanout_received,
    .closed = nothing_with,
    .settled = fanout_settled,
};
static const Workload CONNECT = {
    .begin = connect_begin,
    .opened = connect_opened,
    .received = refuse_message,
    .closed = connect_closed,
    .settled = connect_settled,
};
static const Workload IDLE = {
    .begin = nothing,
    .opened = count_open,
    .received = refuse_message,
    .closed = nothing_with,
    .settled = always,
};

static const Workload *workload_named(const char *name) {
    if (!strcmp(name, "echo")) return &ECHO;
    if (!strcmp(name, "fanout")) return &FANOUT;
    if (!strcmp(name, "connect")) return &CONNECT;
    if (!strcmp(name, "idle")) return &IDLE;
    give_up("the workloads are echo, fanout, connect and idle");
}

static void make_clients(int count) {
    run.count = count;
    run.clients = calloc(count, sizeof *run.clients);
    for (int i = 0; i < count; i++) {
        run.clients[i].number = i;
        run.clients[i].path = run.options->path;
        run.clients[i].sent_at = calloc(run.options->window, sizeof(uint64_t));
    }
}

// Only some at once: the queue of those that a server has not accepted yet is bounded.
static void connect_all(void) {
    uint64_t deadline = now() + MOST_TO_CONNECT;
    for (int next = 0; run.opened < run.count;) {
        while (next < run.count && next - run.opened < CONNECTING_AT_ONCE)
            client_connect(&run.clients[next++]);
        clients_handle_events(100);
        if (errors() || now() > deadline) give_up("not all clients could connect");
    }
}

void workload_open(const Options *options) {
    static Listener listener;
    run.options = options;
    run.workload = workload_named(options->workload);
    bool fans_out = run.workload == &FANOUT, json = options->json || fans_out;
    run.format = json ? JSON : PLAIN;
    if (options->socketio) run.format = json ? SOCKETIO_JSON : SOCKETIO_PLAIN;
    listener = (Listener){
        .opened = options->socketio ? nothing_with : run.workload->opened,
        .received = options->socketio ? socketio_received : run.workload->received,
        .closed = run.workload->closed,
    };
    clients_start(options->port, &listener);
    make_clients(options->connections + fans_out);
    if (fans_out) fanout_prepare();
    if (run.workload != &CONNECT) connect_all();
}

void workload_begin(void) {
    run.sends = true;
    run.workload->begin();
}

void workload_end(void) { run.sends = false; }

bool workload_settled(void) { return run.workload->settled(); }
