#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { MOST_LATENCIES = 1 << 22 };

static struct {
    uint64_t messages, errors;
    const char *first_error;
    uint64_t started;
    double cpu_at_start;
    size_t latencies;
    uint64_t latency[MOST_LATENCIES];  // pages that are never touched cost nothing
} tally;

uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static double cpu_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

void count_message(void) { tally.messages++; }

void note_latency(uint64_t nanoseconds) {
    if (tally.latencies < MOST_LATENCIES) tally.latency[tally.latencies++] = nanoseconds;
}

void note_error(const char *text) {
    if (!tally.errors++) tally.first_error = text;
}

uint64_t errors(void) { return tally.errors; }

void tally_start(void) {
    tally.messages = tally.latencies = 0;
    tally.started = now();
    tally.cpu_at_start = cpu_seconds();
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static double percentile_us(double share) {
    if (!tally.latencies) return 0;
    return tally.latency[(size_t)((tally.latencies - 1) * share)] / 1e3;
}

void tally_report(void) {
    double seconds = (now() - tally.started) / 1e9, cpu = cpu_seconds() - tally.cpu_at_start;
    qsort(tally.latency, tally.latencies, sizeof *tally.latency, compare);
    printf("{\"messages\":%lu,\"seconds\":%.6f,\"generator_cpu\":%.6f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f",
           tally.messages, seconds, cpu, percentile_us(0.5), percentile_us(0.99));
    if (tally.errors) printf(",\"error\":\"%s, %lu times\"", tally.first_error, tally.errors);
    puts("}");
    fflush(stdout);
}

void give_up(const char *what) {
    fprintf(stderr, "%s\n", what);
    if (tally.errors) fprintf(stderr, "%s, %lu times\n", tally.first_error, tally.errors);
    exit(1);
}
