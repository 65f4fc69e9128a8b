/* plastronctl shows, in L1, what Plastron tells by CPUID: docs/plastronctl.8. What its files
   share. */
#ifndef PLASTRONCTL_H
#define PLASTRONCTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "plastron_cpuid.h"
#include "vmx.h"
#include "vmx_features.h"

/* ---- cpuid.c, machine.c: what a test replaces ---- */

struct registers {
    uint32_t eax, ebx, ecx, edx;
};

struct registers machine_cpuid(uint32_t leaf, uint32_t subleaf);

/* Runs on that core from now on; false: it is offline, or not this process's to run on. */
bool machine_enter_core(uint32_t core);
/* Where this runs, if it has not been moved away meanwhile. */
bool machine_is_on_core(uint32_t core);
/* Runs again wherever it could before. */
void machine_leave_core(void);

/* Seconds since some time. */
double machine_now(void);
/* From now on SIGINT and SIGTERM end a sleep and all that follow, and not the process. */
void machine_catch_signals(void);
/* Until machine_now() would be that; false: a signal says that all is to end. */
bool machine_sleep_until(double time);
/* The terminal's size in characters; false: it is none. */
bool machine_terminal(FILE *file, uint32_t *columns, uint32_t *rows);

/* ---- read.c: the leaves as structures ---- */

enum plastron {
    PLASTRON_NONE,  /* another hypervisor, or no one */
    PLASTRON_HIDES, /* stats=off */
    PLASTRON_OLDER, /* lacks leaves */
    PLASTRON_ANSWERS
};

enum plastron plastron_find(void);

struct info {
    uint32_t major, minor, patch;
    uint32_t cores;
    bool nested;
    feature_set offered, masked, missing;
};

void read_info(struct info *info);

enum level { LEVEL_L1, LEVEL_L2, LEVELS };

/* What a core has counted since Plastron's start, or between two readings; or all cores. */
struct core {
    uint32_t number; /* as L1 counts them */
    bool read;       /* false: it is offline, or not this process's to run on; all is 0 */
    double time;     /* of the reading, or between the two, in seconds */
    uint64_t exits[LEVELS][EXIT_REASON_COUNT];
    uint64_t hidden_reads, hidden_writes;
};

struct reading {
    struct info info;
    struct core *cores; /* info.cores of them */
    struct core all;    /* their sum, with the mean of the times */
    struct registers shadow_pages, shadow_tables;
};

/* The memory for a reading of all cores that there are; false without it. */
bool reading_init(struct reading *reading, const struct info *info);
void reading_free(struct reading *reading);

/* All that is counted now, on each core in turn. */
void reading_take(struct reading *reading);
/* What happened from one reading to a later one, of the cores that both have read. */
void reading_between(struct reading *between, const struct reading *from, const struct reading *to);

uint64_t core_exits(const struct core *core, enum level level);
/* Exits of L2 that did not become exits of L2 to L1, nearly: for each entry of L1's that succeeds
   there is one that does. */
uint64_t core_handled_by_l0(const struct core *core);

/* ---- show.c: structures as text and JSON ---- */

/* Until the next call. */
const char *reason_name(uint32_t reason);

void show_info(FILE *out, const struct info *info);
void show_info_json(FILE *out, const struct info *info);
void show_reading(FILE *out, const struct reading *reading);
/* One line. A round from 1 on: the reading is what happened between two, and tells the seconds. */
void show_reading_json(FILE *out, const struct reading *reading, uint64_t round);
/* What the shadow page tables take and do, a line for each. */
void shadow_texts(const struct reading *reading, char pages[128], char tables[128]);

/* ---- top.c ---- */

struct top {
    double delay;    /* between two rounds, in seconds */
    uint64_t rounds; /* 0: until a signal comes */
    bool json;
};

/* False without memory. */
bool top_run(FILE *out, const struct info *info, const struct top *top);

/* ---- plastronctl.c ---- */

/* The program: its exit status. */
int plastronctl(int count, char **arguments, FILE *out, FILE *errors);

#endif
