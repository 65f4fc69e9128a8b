/*
 * A machine for a real gdb: the stub of hv/monitor/gdb.h on a TCP port of this host, over L0's
 * image and a processor that executes nothing. A step moves RIP by a byte; what runs on comes to
 * the lowest breakpoint, or runs until gdb interrupts it. A connection is a serial line: that it
 * ends, the stub does not know.
 *
 *   gdb_server IMAGE [NOISE]       NOISE: every so many packets' data are damaged, both ways
 */
#include <arpa/inet.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/format.h"
#include "hv/monitor/gdb.h"

#define CORES        2
#define THREADS      (CORES * GDB_LEVELS)
#define NO_L2_THREAD 6u          /* core 0 alone has an L2 */
#define GUEST_MEMORY 0x100000ull /* what L1 and L2 have memory at */
#define GUEST_SIZE   0x10000ull
#define BREAKPOINTS  16

/* A direction of the line. */
struct way {
    u8 before; /* the byte before */
    u32 packets;
};

static struct {
    struct gdb gdb;
    bool attached;
    int line;
    u32 noise;
    struct way in, out;

    u8 *image;
    u64 image_base, image_size;
    u8 guest[GDB_LEVELS][GUEST_SIZE];
    struct gdb_registers registers[THREADS];
    u64 breakpoints[BREAKPOINTS]; /* 0: none */

    u32 thread; /* that was resumed last */
    bool step;
} machine;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- L0's image, laid out as its program headers say ---- */

static u8 *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    u8 *bytes;
    long size;

    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < (long)sizeof(Elf64_Ehdr))
        fail(path);
    bytes = malloc((size_t)size);
    rewind(file);
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size)
        fail(path);
    fclose(file);
    return bytes;
}

static void load_image(const char *path)
{
    u8 *file = read_file(path);
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(file + elf->e_phoff);
    u64 end = 0;

    machine.image_base = ~0ull;
    for (u32 i = 0; i < elf->e_phnum; i++) {
        if (segments[i].p_type != PT_LOAD)
            continue;
        if (segments[i].p_vaddr < machine.image_base)
            machine.image_base = segments[i].p_vaddr;
        if (segments[i].p_vaddr + segments[i].p_memsz > end)
            end = segments[i].p_vaddr + segments[i].p_memsz;
    }
    machine.image_size = end - machine.image_base;
    machine.image = calloc(1, machine.image_size);
    for (u32 i = 0; i < elf->e_phnum; i++)
        if (segments[i].p_type == PT_LOAD)
            memcpy(machine.image + (segments[i].p_vaddr - machine.image_base),
                   file + segments[i].p_offset, segments[i].p_filesz);
    for (u32 core = 0; core < CORES; core++)
        machine.registers[gdb_thread(core, 0) - 1].rip = elf->e_entry;
    free(file);
}

/* ---- The backend ---- */

/* The byte that arrives for the one that was sent: of some packets the first is another. */
static u8 with_noise(struct way *way, u8 byte)
{
    bool hit = way->before == '$' && machine.noise && ++way->packets % machine.noise == 0;

    way->before = byte;
    return hit ? byte ^ 1 : byte;
}

static void put(u8 byte)
{
    byte = with_noise(&machine.out, byte);
    if (send(machine.line, &byte, 1, MSG_NOSIGNAL) != 1)
        machine.out.before = 0; /* nobody listens */
}

static bool thread_alive(u32 thread) { return thread != NO_L2_THREAD; }

static const char *describe(u32 thread)
{
    static const char *const texts[THREADS] = {"core 0, L0", "core 0, L1: runs KVM", "core 0, L2",
                                               "core 1, L0", "core 1, L1: runs KVM"};

    return texts[thread - 1];
}

static void print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_to(gdb_print, &machine.gdb, format, args);
    va_end(args);
}

static void end_noise(void)
{
    u32 noise = machine.noise;

    machine.noise = 0;
    print("damaged %u %u\n", machine.in.packets / noise, machine.out.packets / noise);
}

static void command(const char *line)
{
    if (!strcmp(line, "help"))
        print("help            the commands\nregs [CORE]     the registers\n");
    else if (!strcmp(line, "long"))
        for (u32 i = 0; i < 500; i++)
            print("%u%s", i, i % 100 == 99 ? "\n" : " ");
    else if (!strcmp(line, "quiet") && machine.noise)
        end_noise();
    else
        print("unknown command: %s\n", line);
}

static bool read_registers(u32 thread, struct gdb_registers *to)
{
    *to = machine.registers[thread - 1];
    return true;
}

static bool write_registers(u32 thread, const struct gdb_registers *from, u64 which)
{
    for (u32 i = 0; i < ARRAY_SIZE(from->value); i++)
        if (which & BIT64(i))
            machine.registers[thread - 1].value[i] = from->value[i];
    return true;
}

/* The bytes at the address, and how many there are; 0: none. */
static u64 find_memory(u32 thread, u64 address, u64 len, u8 **bytes)
{
    bool l0 = gdb_thread_level(thread) == 0;
    u64 base = l0 ? machine.image_base : GUEST_MEMORY;
    u64 size = l0 ? machine.image_size : GUEST_SIZE;

    if (address - base >= size)
        return 0;
    *bytes = (l0 ? machine.image : machine.guest[gdb_thread_level(thread)]) + (address - base);
    return len < size - (address - base) ? len : size - (address - base);
}

static u64 read_memory(u32 thread, u64 address, void *to, u64 len)
{
    u8 *bytes = NULL;
    u64 done = find_memory(thread, address, len, &bytes);

    if (done)
        memcpy(to, bytes, done);
    return done;
}

static u64 write_memory(u32 thread, u64 address, const void *from, u64 len)
{
    u8 *bytes = NULL;
    u64 done = find_memory(thread, address, len, &bytes);

    if (done)
        memcpy(bytes, from, done);
    return done;
}

/* Replaces one breakpoint, or an empty place, by another. */
static bool change_breakpoint(u64 from, u64 to)
{
    for (u32 i = 0; i < BREAKPOINTS; i++) {
        if (machine.breakpoints[i] == from) {
            machine.breakpoints[i] = to;
            return true;
        }
    }
    return false;
}

static bool set_breakpoint(u64 address)
{
    return address - machine.image_base < machine.image_size && change_breakpoint(0, address);
}

static bool clear_breakpoint(u64 address) { return change_breakpoint(address, 0); }

static bool resume(u32 thread, bool step, bool others)
{
    printf("resume %u %s%s\n", thread, step ? "step" : "run", others ? " others" : "");
    machine.thread = thread;
    machine.step = step;
    return true;
}

static const struct gdb_backend backend = {
    .cores = CORES,
    .put = put,
    .thread_alive = thread_alive,
    .describe = describe,
    .command = command,
    .read_registers = read_registers,
    .write_registers = write_registers,
    .read_memory = read_memory,
    .write_memory = write_memory,
    .set_breakpoint = set_breakpoint,
    .clear_breakpoint = clear_breakpoint,
    .resume = resume,
};

/* ---- The processor ---- */

static u64 lowest_breakpoint(void)
{
    u64 lowest = 0;

    for (u32 i = 0; i < BREAKPOINTS; i++)
        if (machine.breakpoints[i] && (!lowest || machine.breakpoints[i] < lowest))
            lowest = machine.breakpoints[i];
    return lowest;
}

static void run(void)
{
    u32 l0 = gdb_thread(gdb_thread_core(machine.thread), 0);
    u64 breakpoint = lowest_breakpoint();

    if (machine.step) {
        machine.registers[machine.thread - 1].rip++;
        gdb_stopped(&machine.gdb, machine.thread, GDB_SIGTRAP, false);
        return;
    }
    print("core %u runs\n", gdb_thread_core(machine.thread));
    if (!breakpoint)
        return;
    machine.registers[l0 - 1].rip = breakpoint;
    gdb_stopped(&machine.gdb, l0, GDB_SIGTRAP, true);
}

/* Thread 1's registers are 0x1000100, 0x1000101 and so on, but for RIP. */
static void start_processor(void)
{
    for (u32 thread = 1; thread <= THREADS; thread++) {
        struct gdb_registers *registers = &machine.registers[thread - 1];

        for (u32 i = 0; i < ARRAY_SIZE(registers->value); i++)
            if (registers->value[i] == 0)
                registers->value[i] = 0x1000000 | thread << 8 | i;
        registers->eflags = 0x246;
        if (gdb_thread_level(thread))
            registers->rip = GUEST_MEMORY + 0x1000 * thread;
    }
    machine.registers[1].unknown = GDB_REGISTER(rax) | GDB_REGISTER(cr2);
    for (u32 level = 1; level < GDB_LEVELS; level++)
        memset(machine.guest[level], 0x90, GUEST_SIZE);
    machine.thread = 2;
}

/* ---- The line ---- */

static void take(u8 byte)
{
    if (!machine.attached)
        gdb_attach(&machine.gdb, &backend);
    machine.attached = true;
    switch (gdb_feed(&machine.gdb, with_noise(&machine.in, byte))) {
    case GDB_RESUMED: run(); break;
    case GDB_INTERRUPT: gdb_stopped(&machine.gdb, machine.thread, GDB_SIGINT, false); break;
    case GDB_DETACHED:
        memset(machine.breakpoints, 0, sizeof(machine.breakpoints));
        machine.attached = false;
        printf("detached\n");
        break;
    case GDB_NOTHING: break;
    }
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &len))
        fail("socket");
    printf("port %u\n", ntohs(address.sin_port));
    return listener;
}

static void serve(void)
{
    u8 bytes[4096];
    ssize_t count;

    while ((count = read(machine.line, bytes, sizeof(bytes))) > 0)
        for (ssize_t i = 0; i < count; i++)
            take(bytes[i]);
    close(machine.line);
}

int main(int argc, char **argv)
{
    int listener;

    if (argc < 2) {
        fprintf(stderr, "gdb_server: which image?\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    machine.noise = argc > 2 ? (u32)atoi(argv[2]) : 0;
    load_image(argv[1]);
    start_processor();
    listener = listen_anywhere();
    while ((machine.line = accept(listener, NULL, NULL)) >= 0)
        serve();
    return 0;
}
