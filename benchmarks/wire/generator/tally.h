// What was counted: messages, the time that each took, and what went wrong.
#pragma once

#include <stdint.h>

uint64_t now(void);  // nanoseconds

void count_message(void);
void note_latency(uint64_t nanoseconds);

// Note that a server did something wrong; the first text is reported, and how many there were.
void note_error(const char *text);
uint64_t errors(void);

// Forget what was counted, and start the clock.
void tally_start(void);

// Print everything as one line of JSON.
void tally_report(void);

// Say on stderr what failed, and exit.
_Noreturn void give_up(const char *what);
