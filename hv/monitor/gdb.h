/*
 * A remote stub of gdb's: "Debugging with GDB", appendix "GDB Remote Serial Protocol". It is fed
 * the bytes that come in, answers by a backend's functions, and knows nothing of the machine.
 *
 * A thread of gdb's is a level of a core: L0, its L1 or its L2, for gdb thread 1, 2 and 3 on core
 * 0, 4, 5 and 6 on core 1. Memory is what the level's own addresses name: L0's symbols are found
 * with a thread of L0 chosen. gdb knows all-stop only: one level runs, steps or stops, and with it
 * the machine.
 */
#ifndef PLASTRON_HV_MONITOR_GDB_H
#define PLASTRON_HV_MONITOR_GDB_H

#include "types.h"

#define GDB_PACKET_MAX 1024 /* bytes between '$' and '#', escapes taken out */
#define GDB_LEVELS     3    /* L0, L1, L2 */

/* Signals, by gdb's numbers. */
#define GDB_SIGINT  2
#define GDB_SIGTRAP 5
#define GDB_SIGABRT 6

static inline u32 gdb_thread(u32 core, u32 level) { return core * GDB_LEVELS + level + 1; }
static inline u32 gdb_thread_core(u32 thread) { return (thread - 1) / GDB_LEVELS; }
static inline u32 gdb_thread_level(u32 thread) { return (thread - 1) % GDB_LEVELS; }

/* In the order of gdb's numbers; eflags and the selectors have 32 bits there. */
struct gdb_registers {
    union {
        struct {
            u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
            u64 r8, r9, r10, r11, r12, r13, r14, r15;
            u64 rip, eflags, cs, ss, ds, es, fs, gs;
            u64 fs_base, gs_base;
            u64 cr0, cr2, cr3, cr4, efer;
        };
        u64 value[31];
    };
    u64 unknown; /* GDB_REGISTER() of those that this level does not have at the moment */
};

/* The bit of a register, by its name in struct gdb_registers. */
#define GDB_REGISTER(name) BIT64(offsetof(struct gdb_registers, name) / sizeof(u64))

/*
 * What the machine has to offer. A thread that is handed on is one of these cores' and was alive.
 * Those below the line are called only while the machine stands still.
 */
struct gdb_backend {
    u32 cores;
    void (*put)(u8 byte); /* sends it, and waits if it has to */
    bool (*thread_alive)(u32 thread);
    const char *(*describe)(u32 thread); /* a line without its end */
    /* A line of `monitor`; what it has to say goes to gdb_print(). */
    void (*command)(const char *line);

    /* ---- */
    bool (*read_registers)(u32 thread, struct gdb_registers *to);
    /* Only those whose GDB_REGISTER() is in which. False: none was written. */
    bool (*write_registers)(u32 thread, const struct gdb_registers *from, u64 which);
    /* Return the bytes done, from the first on: fewer than len where some cannot be reached. The
       range does not wrap. */
    u64 (*read_memory)(u32 thread, u64 address, void *to, u64 len);
    u64 (*write_memory)(u32 thread, u64 address, const void *from, u64 len);
    /* In L0's text, for all cores; a breakpoint may be set, and cleared, twice. */
    bool (*set_breakpoint)(u64 address);
    bool (*clear_breakpoint)(u64 address);
    /* Lets the thread run, or execute one instruction, and with others all the others run. What
       ends it is told by gdb_stopped(). False: it cannot, and stands still as before. */
    bool (*resume)(u32 thread, bool step, bool others);
};

/* What the caller has to do after a byte. */
enum gdb_event {
    GDB_NOTHING,
    GDB_RESUMED,   /* resume() was called, with success */
    GDB_INTERRUPT, /* stop the machine, and call gdb_stopped() */
    GDB_DETACHED,  /* clear the breakpoints, let the machine run, and feed no more */
};

/* One session. All fields are gdb.c's own. */
struct gdb {
    const struct gdb_backend *backend;
    enum gdb_event event;

    u32 state;
    u8 sum;        /* of the packet that comes in */
    bool garbled;  /* it breaks the framing, or its checksum is wrong */
    bool overlong; /* it did not fit */
    bool no_ack;
    bool answered; /* buffer holds what was last sent */

    bool running; /* the machine, for all that gdb was told */
    bool waiting; /* gdb takes what is printed: it waits for a stop, or for a command's end */
    bool at_breakpoint;
    u32 signal;  /* of the last stop */
    u32 chosen;  /* the thread that registers and memory are of */
    u32 control; /* the one that c and s are for; 0: the chosen one */
    u32 listed;  /* the last thread that gdb was told */

    u8 sum_out;
    u32 printed; /* characters in the packet of output that is open; 0: none is */

    /* The packet that came in; the answer is built in its place. */
    u32 at;
    u32 len;
    u8 buffer[GDB_PACKET_MAX + 1];
};

/*
 * Begins a session: the next byte fed is gdb's first. The machine counts as running, and gdb's
 * first question will make GDB_INTERRUPT of it; if it stands still already, gdb_stopped() says so.
 */
void gdb_attach(struct gdb *gdb, const struct gdb_backend *backend);

/* The byte before has ended a packet, or there was none. */
bool gdb_between_packets(const struct gdb *gdb);

/* Takes a byte that came in, and answers when it ends a packet. */
enum gdb_event gdb_feed(struct gdb *gdb, u8 byte);

/*
 * The machine stands still, because of the thread, with one of the signals above. At a breakpoint
 * RIP has to be that of the breakpoint, not that behind INT3. It is told when gdb waits for it.
 * Not to be called by a function of the backend's.
 */
void gdb_stopped(struct gdb *gdb, u32 thread, u32 signal, bool at_breakpoint);

/*
 * Shows a character in gdb: of a command, or of what else comes up while the machine runs. At other
 * times gdb expects none, and it is dropped. A format_put of hv/format.h for a struct gdb.
 */
void gdb_print(void *gdb, char c);

#endif
