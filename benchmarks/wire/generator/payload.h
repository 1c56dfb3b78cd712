// The texts that are sent, and the one that has to come back: no two of a client are the same.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_TEXT = 256 };

// PLAIN: 32 characters. JSON: an object of 100. The other two are what Socket.IO makes of them.
typedef enum { PLAIN, JSON, SOCKETIO_PLAIN, SOCKETIO_JSON } Format;

// Write the text that a client sends as its `sequence`th, and give its size.
size_t write_text(char *to, Format format, uint32_t number, uint32_t sequence);

// Tell whether a text is the one that was to come; one of JSON may be spaced in another way.
bool is_text(const uint8_t *text, size_t size, Format format, uint32_t number, uint32_t sequence);
