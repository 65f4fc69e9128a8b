#include "recorder.h"

#include "lib.h"
#include "names.h"
#include "text.h"
#include "vmx.h"
#include "vmx_errors.h"

#define NO_VMCS12 ~0ull

void recorder_init(struct recorder *recorder, u32 core)
{
    memset(recorder, 0, sizeof(*recorder));
    memcpy(recorder->magic, RECORDER_MAGIC, sizeof(RECORDER_MAGIC));
    recorder->core = core;
    recorder->record_size = sizeof(struct record);
    recorder->records = RECORDER_RECORDS;
    recorder->next = -(s64)sizeof(recorder->record);
}

static void add_reason(struct text *line, u32 reason)
{
    const char *name = exit_reason_find(reason);

    if (name)
        text_add(line, "%s", name);
    else
        text_add(line, "%u", reason);
}

/* What an exit's address is; NULL: it has none. */
static const char *address_name(u32 reason, bool from_l2)
{
    switch (reason) {
    case EXIT_REASON_EPT_VIOLATION:
    case EXIT_REASON_EPT_MISCONFIG: return "address";
    case EXIT_REASON_MSR_READ:
    case EXIT_REASON_MSR_WRITE: return "msr";
    case EXIT_REASON_CPUID: return "leaf";
    case EXIT_REASON_VMLAUNCH:
    case EXIT_REASON_VMRESUME: return from_l2 ? NULL : "vmcs12";
    default: return NULL;
    }
}

/* By RECORD_FROM_L2 and RECORD_TO_L2: what an exit led to. */
static const char *const outcomes[] = {"", " passed to L1", " enters L2", " handled by L0"};

static const char *guest(const struct record *record)
{
    return record->flags & RECORD_FROM_L2 ? "L2" : "L1";
}

static void add_exit(struct text *line, const struct record *record)
{
    u32 turn = record->flags & (RECORD_FROM_L2 | RECORD_TO_L2);
    const char *name = address_name(record->reason, record->flags & RECORD_FROM_L2);

    text_add(line, "%s exit ", guest(record));
    add_reason(line, record->reason);
    if (record->ticks)
        text_add(line, "%s", outcomes[turn]);
    if (record->ticks && turn == (RECORD_FROM_L2 | RECORD_TO_L2) &&
        record->reason == EXIT_REASON_EPT_VIOLATION)
        text_add(line, " (EPT02 fill)");
    text_add(line, " rip %#lx qualification %#lx", record->rip, record->qualification);
    if (name)
        text_add(line, " %s %#lx", name, record->address);
    if (record->ticks)
        text_add(line, " %u ticks", record->ticks);
    else
        text_add(line, " unfinished");
}

static void add_vmfail(struct text *line, const struct record *record)
{
    const char *text = vm_instruction_error_text((u32)record->qualification);

    text_add(line, "L1 ");
    add_reason(line, record->reason);
    if (!record->qualification)
        text_add(line, " failed: VMfailInvalid");
    else
        text_add(line, " failed: error %lu (%s)", record->qualification, text ? text : "unknown");
    text_add(line, " rip %#lx", record->rip);
    if (record->address != NO_VMCS12)
        text_add(line, " vmcs12 %#lx", record->address);
}

static void add_entry_failed(struct text *line, const struct record *record)
{
    text_add(line, "entry of L2 failed: ");
    add_reason(line, record->reason);
    text_add(line, " rip %#lx qualification %#lx vmcs12 %#lx", record->rip, record->qualification,
             record->address);
}

static void add_hidden(struct text *line, const struct record *record)
{
    text_add(line, "hidden memory %s by %s rip %#lx address %#lx",
             record->flags & RECORD_WRITE ? "written" : "read", guest(record), record->rip,
             record->address);
}

/* The text may be the log's too, where it starts in this way. */
static const char *without_prefix(const char *text)
{
    static const char prefix[] = "deviation: ";

    for (u32 i = 0; prefix[i]; i++)
        if (text[i] != prefix[i])
            return text;
    return text + sizeof(prefix) - 1;
}

static void add_deviation(struct text *line, const struct record *record, recorder_text_of *text_of)
{
    const char *text = text_of(record->address);

    text_add(line, "deviation of %s rip %#lx: ", guest(record), record->rip);
    if (text)
        text_add(line, "%s", without_prefix(text));
    else
        text_add(line, "text at %#lx", record->address);
}

size_t record_text(const struct record *record, u32 core, recorder_text_of *text_of, char *to,
                   size_t size)
{
    struct text line = text_at(to, size);

    if (record->kind == RECORD_NONE || record->kind >= RECORD_KINDS)
        return 0;
    text_add(&line, "core %u tsc %lu ", core, record->tsc);
    switch (record->kind) {
    case RECORD_EXIT: add_exit(&line, record); break;
    case RECORD_VMFAIL: add_vmfail(&line, record); break;
    case RECORD_ENTRY_FAILED: add_entry_failed(&line, record); break;
    case RECORD_ABORT:
        text_add(&line, "VMX abort %lu rip %#lx", record->qualification, record->rip);
        break;
    case RECORD_INIT: text_add(&line, "INIT rip %#lx", record->rip); break;
    case RECORD_SIPI:
        text_add(&line, "SIPI vector %#lx rip %#lx", record->qualification, record->rip);
        break;
    case RECORD_HIDDEN: add_hidden(&line, record); break;
    default: add_deviation(&line, record, text_of);
    }
    return line.len;
}

/* The record of that number, counted from the start. False: its slot has been taken again, and the
   copy may be a mixture. One that is not complete has no kind: that is read first, being written
   last. */
static bool copy_record(const struct recorder *recorder, u64 number, struct record *copy)
{
    const struct record *from = &recorder->record[number % RECORDER_RECORDS];
    u64 record_end = *(const volatile u64 *)&from->end;

    recorder_order();
    *copy = *from;
    copy->end = record_end;
    recorder_order();
    return *(const volatile u64 *)&recorder->written <= number + RECORDER_RECORDS;
}

void recorder_print(const struct recorder *recorder, u32 last, recorder_text_of *text_of,
                    void (*line)(const char *text))
{
    u64 end = *(const volatile u64 *)&recorder->written;
    u64 count = end < RECORDER_RECORDS ? end : RECORDER_RECORDS;
    char text[RECORD_TEXT_MAX];
    struct record record;

    if (count > last)
        count = last;
    for (u64 number = end - count; number < end; number++)
        if (copy_record(recorder, number, &record) &&
            record_text(&record, recorder->core, text_of, text, sizeof(text)))
            line(text);
}
