#include "websocket.h"

#include <stdio.h>
#include <string.h>

// The pair of RFC 6455, section 1.3. That all clients send the same key costs the server nothing
// less, and spares us SHA-1.
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static const uint8_t MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

static uint64_t read_number(const uint8_t *data, int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++) number = number << 8 | data[i];
    return number;
}

static size_t write_number(uint8_t *to, uint64_t number, int bytes) {
    for (int i = bytes; i--; number >>= 8) to[i] = (uint8_t)number;
    return bytes;
}

static size_t write_length(uint8_t *to, size_t size) {
    if (size < 126) return write_number(to, 0x80 | size, 1);
    if (size < 65536) return write_number(to, 0x80 | 126, 1) + write_number(to + 1, size, 2);
    return write_number(to, 0x80 | 127, 1) + write_number(to + 1, size, 8);
}

size_t write_frame(uint8_t *to, Opcode opcode, const uint8_t *payload, size_t size) {
    to[0] = 0x80 | opcode;
    size_t header = 1 + write_length(to + 1, size);
    memcpy(to + header, MASK, sizeof MASK);
    header += sizeof MASK;
    for (size_t i = 0; i < size; i++) to[header + i] = payload[i] ^ MASK[i % sizeof MASK];
    return header + size;
}

size_t read_frame(const uint8_t *data, size_t size, Frame *frame) {
    if (size < 2) return 0;
    uint64_t length = data[1] & 0x7f;
    size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0, header = 2 + extended;
    if (size < header) return 0;
    if (extended) length = read_number(data + 2, extended);
    if (size - header < length) return 0;
    *frame = (Frame){
        .opcode = data[0] & 0x0f,
        .final = data[0] & 0x80,
        .reserved = data[0] & 0x70,
        .masked = data[1] & 0x80,
        .payload = data + header,
        .size = length,
    };
    return header + length;
}

size_t write_upgrade(char *to, size_t capacity, const char *path, int port) {
    return snprintf(to, capacity,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
                    path, port);
}

Upgrade read_upgrade(const uint8_t *data, size_t size, size_t *taken) {
    static const char STATUS[] = "HTTP/1.1 101 ", END[] = "\r\n\r\n";
    const uint8_t *end = memmem(data, size, END, strlen(END));
    if (!end) return INCOMPLETE;
    *taken = end - data + strlen(END);
    if (memcmp(data, STATUS, strlen(STATUS))) return REFUSED;
    return memmem(data, *taken, ACCEPT, strlen(ACCEPT)) ? UPGRADED : WRONG_ACCEPT_KEY;
}
