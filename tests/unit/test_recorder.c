/*
 * The flight recorder: hv/recorder.c, and the names that it takes from hv/names.c and
 * hv/vmx_errors.c. With "sample DIRECTORY" this program writes what tests/tools decodes instead:
 * records.tsv (what was recorded), trace.log (as lines on a console), memory.bin (as rings in
 * memory).
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vmx.h"
#include "../../hv/names.h"
#include "../../hv/recorder.h"
#include "../../hv/vmx_errors.h"

#define FROM RECORD_FROM_L2
#define TO   RECORD_TO_L2

static const char *text_of(u64 address)
{
    switch (address) {
    case 0xffffffff80010000: return "the bit stays 0";
    case 0xffffffff80010040: return "deviation: exit %u of L1 is not known";
    default: return NULL;
    }
}

static const struct {
    struct record record;
    const char *text; /* behind "core 3 tsc N ", N the place in this table */
} rows[] = {
    {{.kind = RECORD_EXIT, .reason = EXIT_REASON_VMREAD, .rip = 0xffffffff81000000, .ticks = 812},
     "L1 exit VMREAD rip 0xffffffff81000000 qualification 0 812 ticks"},
    {{.kind = RECORD_EXIT, .reason = EXIT_REASON_CPUID, .address = 7, .ticks = 300},
     "L1 exit CPUID rip 0 qualification 0 leaf 0x7 300 ticks"},
    {{.kind = RECORD_EXIT,
      .reason = EXIT_REASON_VMRESUME,
      .flags = TO,
      .address = 0x1000,
      .ticks = 1},
     "L1 exit VMRESUME enters L2 rip 0 qualification 0 vmcs12 0x1000 1 ticks"},
    {{.kind = RECORD_EXIT, .reason = EXIT_REASON_CPUID, .flags = FROM, .rip = 0x10, .ticks = 700},
     "L2 exit CPUID passed to L1 rip 0x10 qualification 0 leaf 0 700 ticks"},
    {{.kind = RECORD_EXIT, .reason = EXIT_REASON_VMRESUME, .flags = FROM, .ticks = 5},
     "L2 exit VMRESUME passed to L1 rip 0 qualification 0 5 ticks"},
    {{.kind = RECORD_EXIT,
      .reason = EXIT_REASON_EPT_VIOLATION,
      .flags = FROM | TO,
      .qualification = 0x182,
      .address = 0xfee00000,
      .ticks = 2000},
     "L2 exit EPT_VIOLATION handled by L0 (EPT02 fill) rip 0 qualification 0x182 address "
     "0xfee00000 "
     "2000 ticks"},
    {{.kind = RECORD_EXIT,
      .reason = EXIT_REASON_EPT_VIOLATION,
      .flags = FROM,
      .address = 0x2000,
      .ticks = 9},
     "L2 exit EPT_VIOLATION passed to L1 rip 0 qualification 0 address 0x2000 9 ticks"},
    {{.kind = RECORD_EXIT,
      .reason = EXIT_REASON_EPT_MISCONFIG,
      .flags = FROM,
      .address = 0x3000,
      .ticks = 9},
     "L2 exit EPT_MISCONFIG passed to L1 rip 0 qualification 0 address 0x3000 9 ticks"},
    {{.kind = RECORD_EXIT,
      .reason = EXIT_REASON_MSR_WRITE,
      .flags = FROM | TO,
      .address = 0x6e0,
      .ticks = ~0u},
     "L2 exit MSR_WRITE handled by L0 rip 0 qualification 0 msr 0x6e0 4294967295 ticks"},
    {{.kind = RECORD_EXIT, .reason = 35, .ticks = 4}, "L1 exit 35 rip 0 qualification 0 4 ticks"},
    {{.kind = RECORD_EXIT, .reason = 0xffff, .ticks = 4},
     "L1 exit 65535 rip 0 qualification 0 4 ticks"},
    {{.kind = RECORD_EXIT, .reason = EXIT_REASON_VMLAUNCH, .address = 0x4000},
     "L1 exit VMLAUNCH rip 0 qualification 0 vmcs12 0x4000 unfinished"},
    {{.kind = RECORD_EXIT, .reason = EXIT_REASON_EPT_VIOLATION, .flags = FROM | TO},
     "L2 exit EPT_VIOLATION rip 0 qualification 0 address 0 unfinished"},
    {{.kind = RECORD_VMFAIL,
      .reason = EXIT_REASON_VMLAUNCH,
      .rip = 0x99,
      .qualification = 7,
      .address = 0x5000},
     "L1 VMLAUNCH failed: error 7 (VM entry with invalid control field(s)) rip 0x99 vmcs12 0x5000"},
    {{.kind = RECORD_VMFAIL, .reason = EXIT_REASON_VMPTRLD, .rip = 0x9a, .address = ~0ull},
     "L1 VMPTRLD failed: VMfailInvalid rip 0x9a"},
    {{.kind = RECORD_VMFAIL, .reason = EXIT_REASON_INVEPT, .qualification = 99, .address = 0},
     "L1 INVEPT failed: error 99 (unknown) rip 0 vmcs12 0"},
    {{.kind = RECORD_ENTRY_FAILED,
      .reason = EXIT_REASON_INVALID_STATE,
      .rip = 0x7c00,
      .qualification = 4,
      .address = 0x6000},
     "entry of L2 failed: INVALID_STATE rip 0x7c00 qualification 0x4 vmcs12 0x6000"},
    {{.kind = RECORD_ABORT, .qualification = 4, .rip = 8}, "VMX abort 4 rip 0x8"},
    {{.kind = RECORD_INIT, .rip = 0xfff0}, "INIT rip 0xfff0"},
    {{.kind = RECORD_SIPI, .qualification = 0x9a}, "SIPI vector 0x9a rip 0"},
    {{.kind = RECORD_HIDDEN, .flags = RECORD_WRITE, .address = 0x3d600000, .rip = 1},
     "hidden memory written by L1 rip 0x1 address 0x3d600000"},
    {{.kind = RECORD_HIDDEN, .flags = FROM, .address = 0x3d600008},
     "hidden memory read by L2 rip 0 address 0x3d600008"},
    {{.kind = RECORD_DEVIATION, .rip = 2, .address = 0xffffffff80010000},
     "deviation of L1 rip 0x2: the bit stays 0"},
    {{.kind = RECORD_DEVIATION, .flags = FROM, .address = 0xffffffff80010040},
     "deviation of L2 rip 0: exit %u of L1 is not known"},
    {{.kind = RECORD_DEVIATION, .address = 0xffffffff80010099},
     "deviation of L1 rip 0: text at 0xffffffff80010099"},
};

static struct recorder ring;

static struct record row_record(size_t i)
{
    struct record record = rows[i].record;

    record.tsc = i;
    return record;
}

static void each_kind_has_its_text(void **state)
{
    char wanted[RECORD_TEXT_MAX], text[RECORD_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct record record = row_record(i);

        snprintf(wanted, sizeof(wanted), "core 3 tsc %zu %s", i, rows[i].text);
        assert_int_equal(record_text(&record, 3, text_of, text, sizeof(text)), strlen(wanted));
        assert_string_equal(text, wanted);
    }
}

static void the_longest_line_fits(void **state)
{
    struct record record = {.kind = RECORD_EXIT,
                            .reason = EXIT_REASON_EPT_VIOLATION,
                            .flags = FROM | TO,
                            .tsc = ~0ull,
                            .rip = ~0ull,
                            .qualification = ~0ull,
                            .address = ~0ull,
                            .ticks = ~0u};
    char text[RECORD_TEXT_MAX];

    (void)state;
    assert_in_range(record_text(&record, ~0u, text_of, text, sizeof(text)), 1, sizeof(text) - 1);
    record = (struct record){.kind = RECORD_VMFAIL, .rip = ~0ull, .tsc = ~0ull};
    for (record.reason = 0; record.reason < EXIT_REASON_COUNT; record.reason++)
        for (record.qualification = 0; record.qualification < 30; record.qualification++)
            assert_in_range(record_text(&record, ~0u, text_of, text, sizeof(text)), 1,
                            sizeof(text) - 1);
}

/* Bytes behind the buffer are the sanitizer's. */
static void long_texts_are_cut(void **state)
{
    struct record record = row_record(5);
    char whole[RECORD_TEXT_MAX];
    size_t len = record_text(&record, 3, text_of, whole, sizeof(whole));

    (void)state;
    for (size_t size = 0; size <= len + 1; size++) {
        char *to = malloc(size);

        assert_int_equal(record_text(&record, 3, text_of, to, size), len);
        if (size) {
            assert_int_equal(strlen(to), size - 1);
            assert_memory_equal(to, whole, size - 1);
        }
        free(to);
    }
}

static const char *endless(u64 address)
{
    static char text[1000];

    (void)address;
    memset(text, 'x', sizeof(text) - 1);
    return text;
}

static void what_is_no_record_has_no_text(void **state)
{
    static const u8 kinds[] = {RECORD_NONE, RECORD_KINDS, 255};
    char text[8] = "before";

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct record record = {.kind = kinds[i]};

        assert_int_equal(record_text(&record, 0, text_of, text, sizeof(text)), 0);
        assert_string_equal(text, "");
    }
}

/* Lines that recorder_print() gave. */
static char printed[2 * RECORDER_RECORDS][RECORD_TEXT_MAX];
static u32 printed_count;

static void keep(const char *text)
{
    assert_in_range(printed_count, 0, ARRAY_SIZE(printed) - 1);
    snprintf(printed[printed_count++], RECORD_TEXT_MAX, "%s", text);
}

static u64 printed_tsc(u32 i)
{
    const char *at = strstr(printed[i], " tsc ");

    assert_non_null(at);
    return strtoull(at + 5, NULL, 10);
}

static void print(u32 last)
{
    printed_count = 0;
    recorder_print(&ring, last, text_of, keep);
}

/* A whole record at once. */
static void add_record(struct recorder *recorder, const struct record *record)
{
    struct record *slot = recorder_next(recorder), copy = *record;

    copy.kind = RECORD_NONE;
    *slot = copy;
    record_close(slot, record->kind);
}

static void record_numbers(u64 from, u64 to)
{
    for (u64 i = from; i < to; i++)
        add_record(&ring, &(struct record){.kind = RECORD_INIT, .tsc = i});
}

static void assert_printed(u64 from, u64 to)
{
    assert_int_equal(printed_count, to - from);
    for (u32 i = 0; i < printed_count; i++)
        assert_int_equal(printed_tsc(i), from + i);
}

static void a_new_ring_is_empty(void **state)
{
    (void)state;
    memset(&ring, 0x55, sizeof(ring));
    recorder_init(&ring, 11);
    assert_string_equal(ring.magic, RECORDER_MAGIC);
    assert_int_equal(ring.core, 11);
    assert_int_equal(ring.record_size, sizeof(struct record));
    assert_int_equal(ring.records, RECORDER_RECORDS);
    assert_int_equal(ring.written, 0);
    print(~0u);
    assert_int_equal(printed_count, 0);
}

static void the_last_so_many_come_in_order(void **state)
{
    (void)state;
    recorder_init(&ring, 0);
    record_numbers(0, 10);
    print(3);
    assert_printed(7, 10);
    print(10);
    assert_printed(0, 10);
    print(~0u);
    assert_printed(0, 10);
    print(0);
    assert_int_equal(printed_count, 0);
}

/* Each count of records, over three rounds: neither more nor less than the ring is ever touched. */
static void the_ring_wraps(void **state)
{
    struct {
        u64 before[8];
        struct recorder ring;
        u64 behind[8];
    } *guarded = malloc(sizeof(*guarded));

    (void)state;
    memset(guarded, 0xa5, sizeof(*guarded));
    recorder_init(&guarded->ring, 0);
    for (u64 i = 0; i < 3 * RECORDER_RECORDS + 1; i++) {
        struct record *record = recorder_next(&guarded->ring);

        assert_ptr_equal(record, &guarded->ring.record[i % RECORDER_RECORDS]);
        assert_int_equal(guarded->ring.written, i + 1);
        record->tsc = i;
        record_close(record, RECORD_INIT);
        ring = guarded->ring;
        print(~0u);
        assert_printed(i < RECORDER_RECORDS ? 0 : i + 1 - RECORDER_RECORDS, i + 1);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(guarded->before[i], 0xa5a5a5a5a5a5a5a5);
        assert_int_equal(guarded->behind[i], 0xa5a5a5a5a5a5a5a5);
    }
    free(guarded);
}

static void an_open_record_is_passed_over(void **state)
{
    struct record *open;

    (void)state;
    recorder_init(&ring, 0);
    record_numbers(0, RECORDER_RECORDS + 5);
    open = recorder_next(&ring);
    print(3);
    assert_printed(RECORDER_RECORDS + 3, RECORDER_RECORDS + 5);
    open->tsc = 5000;
    record_numbers(6000, 6001);
    print(3);
    assert_int_equal(printed_count, 2);
    assert_int_equal(printed_tsc(0), RECORDER_RECORDS + 4);
    assert_int_equal(printed_tsc(1), 6000);
    record_close(open, RECORD_INIT);
    print(2);
    assert_int_equal(printed_count, 2);
    assert_int_equal(printed_tsc(0), 5000);
}

static void an_exit_shows_before_it_ends(void **state)
{
    struct record *record;

    (void)state;
    recorder_init(&ring, 0);
    record = recorder_next(&ring);
    *record = (struct record){.reason = EXIT_REASON_HLT, .flags = FROM, .tsc = 1};
    record_close(record, RECORD_EXIT);
    print(1);
    assert_string_equal(printed[0], "core 0 tsc 1 L2 exit HLT rip 0 qualification 0 unfinished");
    record->flags |= TO;
    record->ticks = 60;
    print(1);
    assert_string_equal(printed[0],
                        "core 0 tsc 1 L2 exit HLT handled by L0 rip 0 qualification 0 60 ticks");
}

/* Whatever overwrote the ring, a panic gets through it. */
static void a_broken_ring_does_no_harm(void **state)
{
    (void)state;
    for (u32 byte = 0; byte < 256; byte++) {
        memset(&ring, (int)byte, sizeof(ring));
        print(~0u);
    }
    srand(1);
    for (u32 round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof(ring); i++)
            ((u8 *)&ring)[i] = (u8)rand();
        printed_count = 0;
        recorder_print(&ring, ~0u, endless, keep);
        for (u32 i = 0; i < printed_count; i++)
            assert_memory_equal(printed[i], "core ", 5);
    }
}

#define MIXTURE_CHECKS 300000

static bool stop;

static void linger(u64 count)
{
    for (volatile u64 i = 0; i < count; i++)
        ;
}

/* Says the same thing four times. */
static struct record same(u64 i)
{
    return (struct record){.tsc = i,
                           .rip = i,
                           .qualification = i,
                           .address = i,
                           .reason = EXIT_REASON_EPT_VIOLATION,
                           .ticks = (u32)i | 1,
                           .flags = FROM,
                           .kind = RECORD_EXIT};
}

static void *write_on(void *unused)
{
    for (u64 i = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        struct record from = same(i), *record;

        if (i % 2) {
            add_record(&ring, &from);
            continue;
        }
        record = recorder_next(&ring);
        *(volatile u64 *)&record->tsc = from.tsc;
        linger(i % 64);
        record->rip = from.rip;
        record->qualification = from.qualification;
        record->address = from.address;
        record->ticks = from.ticks;
        record->reason = from.reason;
        record->flags = from.flags;
        record_close(record, RECORD_EXIT);
    }
    return unused;
}

static u64 checked, last_tsc;

static void check(const char *text)
{
    unsigned long long tsc, rip, qualification, address;
    unsigned ticks;

    assert_int_equal(sscanf(text,
                            "core 0 tsc %llu L2 exit EPT_VIOLATION passed to L1 rip %llx "
                            "qualification %llx address %llx %u ticks",
                            &tsc, &rip, &qualification, &address, &ticks),
                     5);
    assert_true(tsc == rip && tsc == qualification && tsc == address && ticks == ((u32)tsc | 1));
    assert_true(tsc > last_tsc);
    last_tsc = tsc;
    checked++;
}

static void a_reader_gets_no_mixtures(void **state)
{
    pthread_t writer;

    (void)state;
    recorder_init(&ring, 0);
    stop = false;
    checked = 0;
    assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
    for (u32 i = 0; checked < MIXTURE_CHECKS; i++) {
        last_tsc = 0;
        recorder_print(&ring, i % 2 ? 1 : 1 + i % RECORDER_RECORDS, text_of, check);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(writer, NULL);
}

static void names_of_exit_reasons(void **state)
{
    u32 count = 0;

    (void)state;
#define X(id, number)                                                                              \
    assert_string_equal(exit_reason_find(number), #id);                                            \
    count++;
    VMX_EXIT_REASONS(X)
#undef X
    for (u32 reason = 0; reason < 0x10000; reason++)
        if (exit_reason_find(reason))
            count--;
    assert_int_equal(count, 0);
}

static void texts_of_instruction_errors(void **state)
{
    static const char *const texts[] = {
        [VMXERR_VMCALL_IN_ROOT] = "VMCALL executed in VMX root operation",
        [VMXERR_VMCLEAR_INVALID_ADDRESS] = "VMCLEAR with invalid physical address",
        [VMXERR_VMCLEAR_VMXON_POINTER] = "VMCLEAR with VMXON pointer",
        [VMXERR_VMLAUNCH_NONCLEAR_VMCS] = "VMLAUNCH with non-clear VMCS",
        [VMXERR_VMRESUME_NONLAUNCHED_VMCS] = "VMRESUME with non-launched VMCS",
        [VMXERR_VMRESUME_AFTER_VMXOFF] = "VMRESUME after VMXOFF",
        [VMXERR_ENTRY_INVALID_CONTROL_FIELD] = "VM entry with invalid control field(s)",
        [VMXERR_ENTRY_INVALID_HOST_STATE_FIELD] = "VM entry with invalid host-state field(s)",
        [VMXERR_VMPTRLD_INVALID_ADDRESS] = "VMPTRLD with invalid physical address",
        [VMXERR_VMPTRLD_VMXON_POINTER] = "VMPTRLD with VMXON pointer",
        [VMXERR_VMPTRLD_INCORRECT_REVISION] = "VMPTRLD with incorrect VMCS revision identifier",
        [VMXERR_UNSUPPORTED_VMCS_COMPONENT] = "VMREAD/VMWRITE from/to unsupported VMCS component",
        [VMXERR_VMWRITE_READ_ONLY_COMPONENT] = "VMWRITE to read-only VMCS component",
        [VMXERR_VMXON_IN_ROOT] = "VMXON executed in VMX root operation",
        [VMXERR_ENTRY_EVENTS_BLOCKED_BY_MOV_SS] = "VM entry with events blocked by MOV SS",
        [VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID] = "Invalid operand to INVEPT/INVVPID",
    };

    (void)state;
    for (u32 error = 0; error < ARRAY_SIZE(texts); error++) {
        if (texts[error])
            assert_string_equal(vm_instruction_error_text(error), texts[error]);
    }
    assert_null(vm_instruction_error_text(VMXERR_NONE));
    assert_null(vm_instruction_error_text(14));
    assert_null(vm_instruction_error_text(~0u));
}

/* ---- The sample ---- */

#define SAMPLE_CORES 2
#define SAMPLE_FIRST 1000000

static struct recorder rings[SAMPLE_CORES];
static FILE *sample_log;

static FILE *sample_file(const char *directory, const char *name)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "wb");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void sample_line(const char *text)
{
    static u32 lines;

    /* As a log of the console is: prefixes, the prompt, other text, the terminal's line ends. */
    fprintf(sample_log, "%s%s\r\n", lines % 3 ? "" : lines % 2 ? "L1# " : "Plastron: ", text);
    if (++lines % 5 == 0)
        fprintf(sample_log, "[   26.059777] core: tsc 5 is no record\r\n");
}

/* More than the ring holds, and what is left of it, in words. */
static void sample_record(const char *directory)
{
    FILE *file = sample_file(directory, "records.tsv");

    for (u32 core = 0; core < SAMPLE_CORES; core++) {
        recorder_init(&rings[core], core);
        for (u64 i = 0; i < RECORDER_RECORDS + 40; i++) {
            struct record record = rows[i % ARRAY_SIZE(rows)].record;

            record.tsc = SAMPLE_FIRST + i * 5000 + core * 1234;
            add_record(&rings[core], &record);
            if (i >= 40)
                fprintf(file, "%u\t%lu\t%u\t%u\t%lu\t%lu\t%lu\t%u\t%u\n", core, record.tsc,
                        record.kind, record.reason, record.rip, record.qualification,
                        record.address, record.ticks, record.flags);
        }
    }
    fclose(file);
}

/* Between the rings: the magic alone, as in L0's code, and bytes that look like nothing. */
static void sample_memory(const char *directory)
{
    FILE *file = sample_file(directory, "memory.bin");
    u8 noise[5000];

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (u8)(i * 7 + i / 256);
    memcpy(noise + 77, RECORDER_MAGIC, sizeof(RECORDER_MAGIC));
    for (u32 core = SAMPLE_CORES; core--;) {
        fwrite(noise, sizeof(noise), 1, file);
        fwrite(&rings[core], sizeof(rings[core]), 1, file);
    }
    fwrite(noise, 100, 1, file);
    fclose(file);
}

static int sample(const char *directory)
{
    sample_record(directory);
    sample_log = sample_file(directory, "trace.log");
    for (u32 core = 0; core < SAMPLE_CORES; core++)
        recorder_print(&rings[core], ~0u, text_of, sample_line);
    fclose(sample_log);
    sample_memory(directory);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_text),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(what_is_no_record_has_no_text),
        cmocka_unit_test(a_new_ring_is_empty),
        cmocka_unit_test(the_last_so_many_come_in_order),
        cmocka_unit_test(the_ring_wraps),
        cmocka_unit_test(an_open_record_is_passed_over),
        cmocka_unit_test(an_exit_shows_before_it_ends),
        cmocka_unit_test(a_broken_ring_does_no_harm),
        cmocka_unit_test(a_reader_gets_no_mixtures),
        cmocka_unit_test(names_of_exit_reasons),
        cmocka_unit_test(texts_of_instruction_errors),
    };

    if (argc == 3 && !strcmp(argv[1], "sample"))
        return sample(argv[2]);
    return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}
