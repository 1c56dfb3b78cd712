// The bytes of RFC 6455, as a client sees them; no I/O.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { CONTINUATION = 0, TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 } Opcode;

typedef struct {
    Opcode opcode;
    bool final, reserved, masked;
    const uint8_t *payload;
    size_t size;
} Frame;

enum { MOST_HEADER = 14 };

// Write a masked frame, and give its size: MOST_HEADER more than the payload at most.
size_t write_frame(uint8_t *to, Opcode opcode, const uint8_t *payload, size_t size);

// Read one frame, and give the bytes that it took; 0 where it is not complete.
size_t read_frame(const uint8_t *data, size_t size, Frame *frame);

// Write a request to upgrade, and give its size.
size_t write_upgrade(char *to, size_t capacity, const char *path, int port);

typedef enum { INCOMPLETE, REFUSED, WRONG_ACCEPT_KEY, UPGRADED } Upgrade;

// Read what answers it; `taken` are the bytes of its head.
Upgrade read_upgrade(const uint8_t *data, size_t size, size_t *taken);
