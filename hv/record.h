/* What goes into the flight recorder (hv/recorder.h), where exits are observed. */
#ifndef PLASTRON_HV_RECORD_H
#define PLASTRON_HV_RECORD_H

#include "cpu.h"
#include "log.h"

/* Exits are recorded, and not only what is rare. */
extern bool recording;

/* The text of L0's at an address, or NULL: recorder_text_of of hv/recorder.h. */
const char *record_text_of(u64 address);

/* An exit begins: reason as in the VMCS. Returns its record, for record_end(), or NULL: it is not
   recorded. */
struct record *record_begin(struct cpu *cpu, u32 reason);

/* Its handling ends: the ticks, and which guest runs next. */
void record_end(const struct cpu *cpu, struct record *record);

/* The same exit, which was L1's and went back to L1: a record more if it was a VMX instruction that
   has failed. rip_before: that of the instruction. */
void record_failure(const struct cpu *cpu, u32 reason, u64 rip_before);

/*
 * What is rare; nothing happens if exits are not observed. A VM entry of L2 that failed, with exit
 * reason and qualification as L1 gets them; a VMX abort, with its indicator; INIT, and SIPI with
 * its vector; an access of the guest that runs to hidden memory; a deviation, with its text, a
 * literal.
 */
#define RARE __attribute__((cold, noinline))
RARE void record_entry_failed(const struct cpu *cpu, u32 reason, u64 qualification);
RARE void record_abort(const struct cpu *cpu, u32 indicator);
RARE void record_init(const struct cpu *cpu);
RARE void record_sipi(const struct cpu *cpu, u64 vector);
RARE void record_hidden(const struct cpu *cpu, u64 gpa, bool write);
RARE void record_deviation(const char *text);

/* L1 has run into a deviation from the SDM: on the console the first time, and in the recorder each
   time. The text is a literal, with the formats of hv/format.h for what follows. */
#define deviation(text, ...)                                                                       \
    do {                                                                                           \
        record_deviation(text);                                                                    \
        log_warn_once("deviation: " text, ##__VA_ARGS__);                                          \
    } while (0)

#endif
