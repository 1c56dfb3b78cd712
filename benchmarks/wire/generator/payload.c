#include "payload.h"

#include <stdio.h>
#include <string.h>

#define OBJECT                                                                     \
    "{\"type\":\"message\",\"id\":%u,\"seq\":%u,\"user\":\"alice\","               \
    "\"text\":\"the quick brown fox jumps over\",\"ok\":true}"

static char *write_hex(char *to, uint32_t number) {
    for (int shift = 28; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[number >> shift & 15];
    return to;
}

// By hand: printf would cost as much as the rest of a message.
static size_t write_plain(char *to, uint32_t number, uint32_t sequence) {
    char *end = write_hex(to, number);
    *end++ = ':';
    end = write_hex(end, sequence);
    memcpy(end, ":abcdefghijklmn", 15);
    return end + 15 - to;
}

static size_t write_socketio_plain(char *to, uint32_t number, uint32_t sequence) {
    static const char BEFORE[] = "42[\"echo\",\"", AFTER[] = "\"]";
    char *text = to + strlen(BEFORE);
    memcpy(to, BEFORE, strlen(BEFORE));
    text += write_plain(text, number, sequence);
    memcpy(text, AFTER, strlen(AFTER));
    return text + strlen(AFTER) - to;
}

size_t write_text(char *to, Format format, uint32_t number, uint32_t sequence) {
    switch (format) {
    case PLAIN: return write_plain(to, number, sequence);
    case SOCKETIO_PLAIN: return write_socketio_plain(to, number, sequence);
    case SOCKETIO_JSON:
        return snprintf(to, MOST_TEXT, "42[\"publish\"," OBJECT "]", number, sequence);
    default: return snprintf(to, MOST_TEXT, OBJECT, number, sequence);
    }
}

static bool same_but_for_spaces(const char *a, size_t a_size, const char *b, size_t b_size) {
    const char *a_end = a + a_size, *b_end = b + b_size;
    for (;; a++, b++) {
        while (a < a_end && *a == ' ') a++;
        while (b < b_end && *b == ' ') b++;
        if (a == a_end || b == b_end) return a == a_end && b == b_end;
        if (*a != *b) return false;
    }
}

bool is_text(const uint8_t *text, size_t size, Format format, uint32_t number, uint32_t sequence) {
    char expected[MOST_TEXT];
    size_t expected_size = write_text(expected, format, number, sequence);
    if (format == PLAIN || format == SOCKETIO_PLAIN)
        return size == expected_size && !memcmp(text, expected, size);
    return same_but_for_spaces((const char *)text, size, expected, expected_size);
}
