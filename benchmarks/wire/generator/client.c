#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tally.h"

enum { CHUNK = 1 << 20, MOST_EVENTS = 512 };

static struct {
    int epoll;
    struct sockaddr_in server;
    const Listener *listener;
    uint8_t chunk[CHUNK];                // what was just read; most frames are handled in here
    uint8_t frame[CHUNK + MOST_HEADER];  // what is about to be sent
} all;

void clients_start(int port, const Listener *listener) {
    all.listener = listener;
    all.server = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event stdin_readable = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(all.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &stdin_readable))
        give_up("stdin has to be a pipe");
}

void client_connect(Client *client) {
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) give_up("no more sockets: too few descriptors?");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    client->phase = CONNECTING;
    client->connecting_since = now();
    client->waits_to_write = true;
    client->out.size = client->in.size = client->fragments.size = 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
    epoll_ctl(all.epoll, EPOLL_CTL_ADD, client->fd, &event);
    int failed = connect(client->fd, (struct sockaddr *)&all.server, sizeof all.server);
    if (failed && errno != EINPROGRESS) give_up("cannot connect");
}

static void client_close(Client *client) {
    close(client->fd);  // epoll forgets it by this
    client->phase = CLOSED;
    all.listener->closed(client);
}

// ---------------------------------------------------------------- writing

static void wait_to_write(Client *client, bool wait) {
    if (client->waits_to_write == wait) return;
    client->waits_to_write = wait;
    struct epoll_event event = {.events = EPOLLIN | (wait ? EPOLLOUT : 0), .data.ptr = client};
    epoll_ctl(all.epoll, EPOLL_CTL_MOD, client->fd, &event);
}

// Write what the socket takes now, and give how much that was. An error shows when we read.
static size_t write_some(Client *client, const uint8_t *data, size_t size) {
    ssize_t written = send(client->fd, data, size, MSG_NOSIGNAL);
    return written > 0 ? written : 0;
}

static void client_write(Client *client, const uint8_t *data, size_t size) {
    size_t written = client->out.size ? 0 : write_some(client, data, size);
    if (written == size) return;
    buffer_append(&client->out, data + written, size - written);
    wait_to_write(client, true);
}

static void write_rest(Client *client) {
    if (client->out.size)
        buffer_take(&client->out, write_some(client, client->out.data, client->out.size));
    wait_to_write(client, client->out.size > 0);
}

static void send_frame(Client *client, Opcode opcode, const void *payload, size_t size) {
    client_write(client, all.frame, write_frame(all.frame, opcode, payload, size));
}

void client_send(Client *client, const void *text, size_t size) {
    send_frame(client, TEXT, text, size);
}

void client_leave(Client *client) {
    client->phase = LEAVING;
    send_frame(client, CLOSE, "\x03\xe8", 2);  // 1000, normal closure
}

static void request_upgrade(Client *client) {
    char request[1024];
    size_t size = write_upgrade(request, sizeof request, client->path, ntohs(all.server.sin_port));
    client->phase = UPGRADING;
    client_write(client, (uint8_t *)request, size);
}

// ---------------------------------------------------------------- reading

static size_t handle_upgrade(Client *client, const uint8_t *data, size_t size) {
    size_t taken = 0;
    switch (read_upgrade(data, size, &taken)) {
    case INCOMPLETE: return 0;
    case REFUSED: note_error("the upgrade was refused"); break;
    case WRONG_ACCEPT_KEY: note_error("the accept key is wrong"); break;
    case UPGRADED: break;
    }
    client->phase = OPEN;
    all.listener->opened(client);
    return taken;
}

static void handle_message_part(Client *client, const Frame *frame) {
    bool begins = frame->opcode == TEXT;
    if (begins == (client->fragments.size > 0)) note_error("a fragment is out of order");
    if (begins && frame->final) {
        all.listener->received(client, frame->payload, frame->size);
        return;
    }
    buffer_append(&client->fragments, frame->payload, frame->size);
    if (!frame->final) return;
    all.listener->received(client, client->fragments.data, client->fragments.size);
    client->fragments.size = 0;
}

static void handle_frame(Client *client, const Frame *frame) {
    if (frame->masked) note_error("a server's frame is masked");
    if (frame->reserved) note_error("a reserved bit is set");
    switch (frame->opcode) {
    case TEXT:
    case CONTINUATION: handle_message_part(client, frame); break;
    case PING: send_frame(client, PONG, frame->payload, frame->size); break;
    case PONG: break;
    case CLOSE:
        if (client->phase != LEAVING) note_error("the server closed");
        break;
    default: note_error("the opcode is wrong");
    }
}

// Handle what is complete, and give the bytes that this took.
static size_t handle_bytes(Client *client, const uint8_t *data, size_t size) {
    size_t used = client->phase == UPGRADING ? handle_upgrade(client, data, size) : 0;
    if (client->phase == UPGRADING) return 0;
    Frame frame;
    for (size_t taken; (taken = read_frame(data + used, size - used, &frame)); used += taken)
        handle_frame(client, &frame);
    return used;
}

static void client_read(Client *client) {
    ssize_t size = recv(client->fd, all.chunk, CHUNK, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        if (client->phase != LEAVING) note_error("the connection was lost");
        client_close(client);
    } else if (client->in.size) {
        buffer_append(&client->in, all.chunk, size);
        buffer_take(&client->in, handle_bytes(client, client->in.data, client->in.size));
    } else {
        size_t used = handle_bytes(client, all.chunk, size);
        if (used < (size_t)size) buffer_append(&client->in, all.chunk + used, size - used);
    }
}

// ---------------------------------------------------------------- events

static void handle_event(Client *client, uint32_t events) {
    if (client->phase == CONNECTING && !(events & (EPOLLERR | EPOLLHUP))) request_upgrade(client);
    if (events & EPOLLOUT) write_rest(client);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) client_read(client);
}

static void read_line(void) {
    char line[64];
    if (read(STDIN_FILENO, line, sizeof line) <= 0) exit(0);
}

bool clients_handle_events(int milliseconds) {
    struct epoll_event events[MOST_EVENTS];
    int count = epoll_wait(all.epoll, events, MOST_EVENTS, milliseconds);
    bool told = false;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) {
            handle_event(events[i].data.ptr, events[i].events);
        } else {
            read_line();
            told = true;
        }
    }
    return told;
}
