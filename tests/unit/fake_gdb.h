/*
 * A machine for the stub of hv/monitor/gdb.h: two cores, with an L2 on the first one only. It keeps
 * what it was told to do as text, and what the stub sent as bytes. What the stub promises to a
 * backend is looked at in each call; what breaks it stands in fake_wrong.
 */
#ifndef PLASTRON_TESTS_FAKE_GDB_H
#define PLASTRON_TESTS_FAKE_GDB_H

#include <stdio.h>
#include <string.h>

#include "hv/monitor/gdb.h"

#define FAKE_CORES   2
#define FAKE_THREADS (FAKE_CORES * GDB_LEVELS)
#define FAKE_DEAD    6u         /* core 1 has no L2 */
#define FAKE_MEMORY  0x10000ull /* what each level has memory at */
#define FAKE_SIZE    0x1000ull
#define FAKE_TEXT    0x400000ull /* L0's text: 4 KiB */

static struct {
    struct gdb_registers registers[FAKE_THREADS];
    u8 memory[GDB_LEVELS][FAKE_SIZE];
    char did[256];
    u8 out[8192];
    u32 out_len;
    bool stopped;   /* as the stub knows it */
    bool will_not;  /* resume and write_registers say no */
    char say[2048]; /* what a command prints, with "%s" for its line */
    u32 lost;       /* bytes of output that had no room */
    struct gdb gdb; /* last, so that a sanitizer sees what goes beyond its buffer */
} fake;

static const char *fake_wrong;

static void fake_check(bool right, const char *what)
{
    if (!right && !fake_wrong)
        fake_wrong = what;
}

static void fake_did(const char *what, u64 a, u64 b, u64 c)
{
    size_t len = strlen(fake.did);

    snprintf(fake.did + len, sizeof(fake.did) - len, "%s %llx %llx %llx;", what,
             (unsigned long long)a, (unsigned long long)b, (unsigned long long)c);
}

static void fake_put(u8 byte)
{
    if (fake.out_len < sizeof(fake.out))
        fake.out[fake.out_len++] = byte;
    else
        fake.lost++;
}

static bool fake_alive(u32 thread)
{
    fake_check(thread >= 1 && thread <= FAKE_THREADS, "a thread that cannot be");
    return thread != FAKE_DEAD;
}

static void fake_check_thread(u32 thread)
{
    fake_check(thread >= 1 && thread <= FAKE_THREADS && thread != FAKE_DEAD, "a dead thread");
}

static void fake_check_stopped(u32 thread)
{
    fake_check_thread(thread);
    fake_check(fake.stopped, "asked while the machine runs");
}

static const char *fake_describe(u32 thread)
{
    static const char *const texts[] = {"core 0, L0", "core 0, L1: KVM", "core 0, L2", "core 1, L0",
                                        "core 1, L1: KVM"};

    fake_check_thread(thread);
    return texts[thread - 1];
}

static void fake_command(const char *line)
{
    char text[4096];

    fake_check(strlen(line) <= GDB_PACKET_MAX / 2, "a command that is too long");
    snprintf(text, sizeof(text), fake.say, line);
    for (const char *at = text; *at; at++)
        gdb_print(&fake.gdb, *at);
}

static bool fake_read_registers(u32 thread, struct gdb_registers *to)
{
    fake_check_stopped(thread);
    *to = fake.registers[thread - 1];
    return true;
}

static bool fake_write_registers(u32 thread, const struct gdb_registers *from, u64 which)
{
    fake_check_stopped(thread);
    fake_check(which != 0 && !(which & fake.registers[thread - 1].unknown), "writes no register");
    if (fake.will_not)
        return false;
    for (u32 i = 0; i < ARRAY_SIZE(from->value); i++) {
        fake_check((which & BIT64(i)) || (fake.registers[thread - 1].unknown & BIT64(i)) ||
                       from->value[i] == fake.registers[thread - 1].value[i],
                   "another register than those it names");
        if (which & BIT64(i))
            fake.registers[thread - 1].value[i] = from->value[i];
    }
    fake_did("write", thread, which, 0);
    return true;
}

/* How much of a range is there. */
static u64 fake_reach(u64 address, u64 len)
{
    fake_check(len > 0 && len <= GDB_PACKET_MAX && address + (len - 1) >= address, "a wild range");
    if (address < FAKE_MEMORY || address >= FAKE_MEMORY + FAKE_SIZE)
        return 0;
    return len < FAKE_MEMORY + FAKE_SIZE - address ? len : FAKE_MEMORY + FAKE_SIZE - address;
}

static u64 fake_read_memory(u32 thread, u64 address, void *to, u64 len)
{
    u64 reach = fake_reach(address, len);

    fake_check_stopped(thread);
    memset(to, 0xee, len);
    if (reach)
        memcpy(to, &fake.memory[gdb_thread_level(thread)][address - FAKE_MEMORY], reach);
    return reach;
}

static u64 fake_write_memory(u32 thread, u64 address, const void *from, u64 len)
{
    u64 reach = fake_reach(address, len);

    fake_check_stopped(thread);
    if (reach)
        memcpy(&fake.memory[gdb_thread_level(thread)][address - FAKE_MEMORY], from, reach);
    fake_did("memory", thread, address, reach);
    return reach;
}

static bool fake_breakpoint(const char *what, u64 address)
{
    fake_check(fake.stopped, "asked while the machine runs");
    if (address < FAKE_TEXT || address >= FAKE_TEXT + 0x1000)
        return false;
    fake_did(what, address, 0, 0);
    return true;
}

static bool fake_set(u64 address) { return fake_breakpoint("set", address); }

static bool fake_clear(u64 address) { return fake_breakpoint("clear", address); }

static bool fake_resume(u32 thread, bool step, bool others)
{
    fake_check_stopped(thread);
    if (fake.will_not)
        return false;
    fake_did("resume", thread, step, others);
    fake.stopped = false;
    return true;
}

static const struct gdb_backend fake_backend = {
    .cores = FAKE_CORES,
    .put = fake_put,
    .thread_alive = fake_alive,
    .describe = fake_describe,
    .command = fake_command,
    .read_registers = fake_read_registers,
    .write_registers = fake_write_registers,
    .read_memory = fake_read_memory,
    .write_memory = fake_write_memory,
    .set_breakpoint = fake_set,
    .clear_breakpoint = fake_clear,
    .resume = fake_resume,
};

static bool fake_is_short(u32 number) { return number >= 17 && number < 24; }

/* A machine that runs, and a session that begins. */
static void fake_reset(void)
{
    memset(&fake, 0, sizeof(fake));
    fake_wrong = NULL;
    for (u32 thread = 1; thread <= FAKE_THREADS; thread++)
        for (u32 i = 0; i < ARRAY_SIZE(fake.registers[0].value); i++)
            fake.registers[thread - 1].value[i] =
                (fake_is_short(i) ? 0 : 0xabcd000000000000) | thread << 8 | i;
    /* What L1 has while its L2 runs. */
    fake.registers[1].unknown = GDB_REGISTER(rax) | GDB_REGISTER(cr2);
    for (u32 level = 0; level < GDB_LEVELS; level++) {
        for (u32 i = 0; i < 0x100; i++)
            fake.memory[level][i] = (u8)(i + 0x40 * level);
        for (u32 len = 0x100; len < FAKE_SIZE; len *= 2)
            memcpy(&fake.memory[level][len], fake.memory[level], len);
    }
    strcpy(fake.say, "%s?\n");
    gdb_attach(&fake.gdb, &fake_backend);
}

static void fake_stop(u32 thread, u32 signal, bool at_breakpoint)
{
    fake.stopped = true;
    gdb_stopped(&fake.gdb, thread, signal, at_breakpoint);
}

static enum gdb_event fake_feed(const void *bytes, size_t len)
{
    enum gdb_event event = GDB_NOTHING;

    for (size_t i = 0; i < len; i++) {
        enum gdb_event now = gdb_feed(&fake.gdb, ((const u8 *)bytes)[i]);

        if (now == GDB_DETACHED)
            fake.stopped = false;
        if (now != GDB_NOTHING)
            event = now;
    }
    return event;
}

/* As gdb sends it: escaped, and with its checksum. */
static enum gdb_event fake_packet(const void *data, size_t len)
{
    static u8 framed[4 * GDB_PACKET_MAX];
    char sum_text[4];
    size_t at = 0;
    u8 sum = 0;

    framed[at++] = '$';
    for (size_t i = 0; i < len && at < sizeof(framed) - 8; i++) {
        u8 byte = ((const u8 *)data)[i];

        if (byte == '$' || byte == '#' || byte == '}' || byte == '*') {
            framed[at++] = '}';
            byte ^= 0x20;
        }
        framed[at++] = byte;
    }
    for (size_t i = 1; i < at; i++)
        sum = (u8)(sum + framed[i]);
    snprintf(sum_text, sizeof(sum_text), "#%02x", sum);
    memcpy(framed + at, sum_text, 3);
    return fake_feed(framed, at + 3);
}

/*
 * What the stub sent is acknowledgements and packets that are whole, no longer than they may be,
 * and have the right checksum. The last packet's data is kept in `last`, "" if there was none.
 * False: it is not so.
 */
static bool fake_parse(char *last, u32 *packets, u32 *acks)
{
    u32 at = 0;

    *packets = *acks = 0;
    last[0] = 0;
    while (at < fake.out_len) {
        u32 len = 0, sum = 0, told;

        if (fake.out[at] == '+' || fake.out[at] == '-') {
            ++*acks;
            at++;
            continue;
        }
        if (fake.out[at++] != '$')
            return false;
        for (; at < fake.out_len && fake.out[at] != '#'; at++) {
            if (len == GDB_PACKET_MAX || fake.out[at] == '$' || !fake.out[at])
                return false;
            sum += fake.out[at];
            last[len++] = (char)fake.out[at];
        }
        last[len] = 0;
        if (at + 3 > fake.out_len ||
            sscanf((char[]){(char)fake.out[at + 1], (char)fake.out[at + 2], 0}, "%2x", &told) !=
                1 ||
            told != (sum & 0xff))
            return false;
        at += 3;
        ++*packets;
    }
    return true;
}

#endif
