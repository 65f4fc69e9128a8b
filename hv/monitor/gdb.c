#include "gdb.h"

#include "gdb_packet.h"
#include "gdb_registers.h"
#include "lib.h"

enum state {
    IDLE,
    DATA,
    ESCAPE, /* behind '}' */
    SUM_HIGH,
    SUM_LOW,
};

#define INTERRUPT_BYTE 0x03

/* ---- Threads ---- */

static u32 last_thread(const struct gdb *gdb) { return gdb->backend->cores * GDB_LEVELS; }

/* A thread that is alive; 0 for any and for all of them. */
static bool take_thread(struct gdb *gdb, u32 *thread)
{
    u64 number;

    *thread = 0;
    if (gdb_take_text(gdb, "-1"))
        return true;
    if (!gdb_take_number(gdb, &number) || number > last_thread(gdb))
        return false;
    *thread = (u32)number;
    return number == 0 || gdb->backend->thread_alive(*thread);
}

/* The first one that is alive behind the given one; 0: none is. */
static u32 next_thread(const struct gdb *gdb, u32 thread)
{
    while (thread++ < last_thread(gdb))
        if (gdb->backend->thread_alive(thread))
            return thread;
    return 0;
}

static enum gdb_answer choose_thread(struct gdb *gdb)
{
    u32 thread;

    if (!take_thread(gdb, &thread) || !gdb_at_end(gdb))
        return ERROR;
    if (thread)
        gdb->chosen = thread;
    return OK;
}

static enum gdb_answer choose_control(struct gdb *gdb)
{
    u32 thread;

    if (!take_thread(gdb, &thread) || !gdb_at_end(gdb))
        return ERROR;
    gdb->control = thread;
    return OK;
}

static enum gdb_answer is_alive(struct gdb *gdb)
{
    u32 thread;

    return take_thread(gdb, &thread) && thread && gdb_at_end(gdb) ? OK : ERROR;
}

static enum gdb_answer current_thread(struct gdb *gdb)
{
    return gdb_build(gdb, "QC%x", gdb->chosen);
}

/* As many as fit; gdb asks for more until it gets an 'l'. */
static enum gdb_answer list_more(struct gdb *gdb)
{
    static const u32 longest = 9; /* a comma and 8 digits */
    u32 thread;

    gdb->len = 0;
    while (gdb->len <= GDB_PACKET_MAX - longest && (thread = next_thread(gdb, gdb->listed)) != 0) {
        gdb_print_to(gdb_append, gdb, "%c%x", gdb->len ? ',' : 'm', thread);
        gdb->listed = thread;
    }
    return gdb->len ? BUILT : gdb_build(gdb, "l");
}

static enum gdb_answer list_threads(struct gdb *gdb)
{
    gdb->listed = 0;
    return list_more(gdb);
}

static enum gdb_answer describe_thread(struct gdb *gdb)
{
    const char *text;
    u32 thread;

    if (!take_thread(gdb, &thread) || !thread || !gdb_at_end(gdb))
        return ERROR;
    gdb->len = 0;
    for (text = gdb->backend->describe(thread); *text; text++)
        gdb_append_byte(gdb, (u8)*text);
    return BUILT;
}

/* ---- Memory ---- */

/* The bytes are read into the buffer's end: their digits, made from the first on, stay behind. */
static enum gdb_answer read_memory(struct gdb *gdb)
{
    u64 address, len;
    u8 *bytes;

    if (!gdb_take_range(gdb, &address, &len) || !gdb_at_end(gdb) || !len)
        return ERROR;
    if (len > GDB_PACKET_MAX / 2)
        len = GDB_PACKET_MAX / 2;
    bytes = gdb->buffer + GDB_PACKET_MAX - len;
    len = gdb->backend->read_memory(gdb->chosen, address, bytes, len);
    if (!len)
        return ERROR;
    gdb->len = 0;
    for (u64 i = 0; i < len; i++)
        gdb_append_byte(gdb, bytes[i]);
    return BUILT;
}

static enum gdb_answer write_memory(struct gdb *gdb, u64 address, const u8 *bytes, u64 len)
{
    return !len || gdb->backend->write_memory(gdb->chosen, address, bytes, len) == len ? OK : ERROR;
}

static enum gdb_answer write_digits(struct gdb *gdb)
{
    u64 address, len;
    u32 count;

    if (!gdb_take_range(gdb, &address, &len) || !gdb_take_text(gdb, ":") ||
        !gdb_take_bytes(gdb, &count) || count != len)
        return ERROR;
    return write_memory(gdb, address, gdb->buffer, len);
}

static enum gdb_answer write_binary(struct gdb *gdb)
{
    u64 address, len;

    if (!gdb_take_range(gdb, &address, &len) || !gdb_take_text(gdb, ":") ||
        len != gdb->len - gdb->at)
        return ERROR;
    return write_memory(gdb, address, gdb->buffer + gdb->at, len);
}

/* ---- Breakpoints: "ADDRESS,KIND"; INT3 has but one kind ---- */

static enum gdb_answer change_breakpoint(struct gdb *gdb, bool (*change)(u64 address))
{
    u64 address, kind;

    return gdb_take_range(gdb, &address, &kind) && kind == 1 && gdb_at_end(gdb) && change(address)
               ? OK
               : ERROR;
}

static enum gdb_answer set_breakpoint(struct gdb *gdb)
{
    return change_breakpoint(gdb, gdb->backend->set_breakpoint);
}

static enum gdb_answer clear_breakpoint(struct gdb *gdb)
{
    return change_breakpoint(gdb, gdb->backend->clear_breakpoint);
}

/* ---- Running and stopping ---- */

static enum gdb_answer answer_stop(struct gdb *gdb)
{
    return gdb_build(gdb, "T%02xthread:%x;%s", gdb->signal & 0xff, gdb->chosen,
                     gdb->at_breakpoint ? "swbreak:;" : "");
}

static void interrupt(struct gdb *gdb)
{
    gdb->waiting = true;
    gdb->event = GDB_INTERRUPT;
}

static enum gdb_answer why_stopped(struct gdb *gdb)
{
    if (!gdb->running)
        return answer_stop(gdb);
    interrupt(gdb);
    return NONE;
}

void gdb_stopped(struct gdb *gdb, u32 thread, u32 signal, bool at_breakpoint)
{
    bool told = gdb->waiting;

    if (!gdb->running && !told && signal == GDB_SIGTRAP)
        return; /* it knows of another core's already */
    gdb->chosen = thread;
    gdb->control = 0;
    gdb->signal = signal;
    gdb->at_breakpoint = at_breakpoint;
    gdb->running = gdb->waiting = false;
    if (!told)
        return;
    gdb_end_print(gdb);
    /* It takes the place of a packet that was on its way: gdb sends none while it waits. */
    gdb->state = IDLE;
    answer_stop(gdb);
    gdb_send(gdb);
}

/* What is to run; gdb orders no more than this of a machine that it stops as a whole. */
struct resumption {
    u32 thread;
    bool step;
    bool others;
};

static enum gdb_answer resume(struct gdb *gdb, const struct resumption *what)
{
    u32 thread = what->thread ? what->thread : gdb->chosen;

    if (!gdb->backend->resume(thread, what->step, what->others))
        return ERROR;
    gdb->running = gdb->waiting = true;
    gdb->event = GDB_RESUMED;
    return NONE;
}

/* "c", "s", or with a signal, for which there is no use, "C05" and "S05". */
static bool take_action(struct gdb *gdb, bool *step)
{
    u8 letter = gdb->buffer[gdb->at], signal;

    if (letter != 'c' && letter != 'C' && letter != 's' && letter != 'S')
        return false;
    gdb->at++;
    *step = (letter | 0x20) == 's';
    return (letter & 0x20) || gdb_take_byte(gdb, &signal);
}

/* "ACTION[:THREAD]" of vCont: the first one for a thread holds. */
static bool take_thread_action(struct gdb *gdb, struct resumption *what)
{
    u32 thread = 0;
    bool step;

    if (!take_action(gdb, &step) || (gdb_take_text(gdb, ":") && !take_thread(gdb, &thread)))
        return false;
    if (what->others)
        return true;
    what->others = !thread;
    if (!what->thread) {
        what->thread = thread ? thread : gdb->control;
        what->step = step;
        return true;
    }
    /* Two threads, but not all: the backend cannot do that. Nor can more than one step. */
    return thread ? thread == what->thread : !step;
}

static enum gdb_answer resume_threads(struct gdb *gdb)
{
    struct resumption what = {0};

    do {
        if (!take_thread_action(gdb, &what))
            return ERROR;
    } while (gdb_take_text(gdb, ";"));
    return gdb_at_end(gdb) ? resume(gdb, &what) : ERROR;
}

/* Without an address: gdb writes RIP before. */
static enum gdb_answer resume_control(struct gdb *gdb)
{
    struct resumption what = {.thread = gdb->control, .others = true};

    gdb->at = 0;
    return take_action(gdb, &what.step) && gdb_at_end(gdb) ? resume(gdb, &what) : ERROR;
}

/* ---- The session ---- */

/* The command's line takes the packet's place. */
static enum gdb_answer run_command(struct gdb *gdb)
{
    bool waiting = gdb->waiting;
    u32 count;

    if (!gdb_take_bytes(gdb, &count))
        return ERROR;
    gdb->buffer[count] = 0;
    gdb->waiting = true;
    gdb->backend->command((const char *)gdb->buffer);
    gdb_end_print(gdb);
    gdb->waiting = waiting;
    return OK;
}

/* gdb's first packet. If it comes later, then the gdb before went without a word. */
static enum gdb_answer supported(struct gdb *gdb)
{
    gdb->waiting = false;
    return gdb_build(gdb, "PacketSize=%x;QStartNoAckMode+;swbreak+;qXfer:features:read+",
                     GDB_PACKET_MAX);
}

static enum gdb_answer start_no_ack(struct gdb *gdb)
{
    gdb->no_ack = true;
    return OK;
}

static enum gdb_answer resume_actions(struct gdb *gdb) { return gdb_build(gdb, "vCont;c;C;s;S"); }

/* Yes: on its way out gdb lets go of the machine. */
static enum gdb_answer is_attached(struct gdb *gdb) { return gdb_build(gdb, "1"); }

static enum gdb_answer accept(struct gdb *gdb)
{
    (void)gdb;
    return OK;
}

static enum gdb_answer detach(struct gdb *gdb)
{
    gdb->running = true;
    gdb->waiting = false;
    gdb->event = GDB_DETACHED;
    return OK;
}

static enum gdb_answer kill(struct gdb *gdb)
{
    detach(gdb);
    return NONE;
}

struct packet {
    const char *name; /* what it begins with; all of it if a '$' stands at the end */
    enum gdb_answer (*run)(struct gdb *gdb);
};

static const struct packet packets[] = {
    {"?$", why_stopped},
    {"D$", detach},
    {"Hc", choose_control},
    {"Hg", choose_thread},
    {"k$", kill},
    {"qAttached$", is_attached},
    {"qC$", current_thread},
    {"qfThreadInfo$", list_threads},
    {"qRcmd,", run_command},
    {"QStartNoAckMode$", start_no_ack},
    {"qsThreadInfo$", list_more},
    {"qSupported", supported},
    {"qSymbol:", accept},
    {"qThreadExtraInfo,", describe_thread},
    {"qXfer:features:read:", gdb_describe_registers},
    {"T", is_alive},
    {"vCont?$", resume_actions},
};

/* While the machine runs they are errors. */
static const struct packet packets_stopped[] = {
    {"c", resume_control},      {"C", resume_control},      {"g$", gdb_read_registers},
    {"G", gdb_write_registers}, {"m", read_memory},         {"M", write_digits},
    {"p", gdb_read_register},   {"P", gdb_write_register},  {"s", resume_control},
    {"S", resume_control},      {"vCont;", resume_threads}, {"X", write_binary},
    {"z0,", clear_breakpoint},  {"Z0,", set_breakpoint},
};

/* The first of them that the packet is; it is read up to the name's end. */
static const struct packet *find(struct gdb *gdb, const struct packet *packet, u32 count)
{
    for (; count; count--, packet++)
        if (gdb_take_text(gdb, packet->name))
            return packet;
    return NULL;
}

static enum gdb_answer run_packet(struct gdb *gdb)
{
    const struct packet *packet = find(gdb, packets, ARRAY_SIZE(packets));

    if (packet)
        return packet->run(gdb);
    packet = find(gdb, packets_stopped, ARRAY_SIZE(packets_stopped));
    if (!packet)
        return UNKNOWN;
    return gdb->running ? ERROR : packet->run(gdb);
}

static void end_packet(struct gdb *gdb)
{
    static const char *const texts[] = {[UNKNOWN] = "", [OK] = "OK", [ERROR] = "E01"};
    enum gdb_answer kind;

    gdb->state = IDLE;
    gdb->at = 0;
    gdb->buffer[gdb->len] = 0;
    /* Another gdb knows nothing of what was agreed upon with the one before. */
    if (!gdb->garbled && gdb_take_text(gdb, "qSupported"))
        gdb->no_ack = false;
    gdb->at = 0;
    if (!gdb->no_ack)
        gdb->backend->put(gdb->garbled ? '-' : '+');
    if (gdb->garbled && !gdb->no_ack)
        return;
    kind = gdb->garbled || gdb->overlong ? ERROR : run_packet(gdb);
    if (kind < BUILT)
        gdb_build(gdb, "%s", texts[kind]);
    if (kind != NONE)
        gdb_send(gdb);
}

/* ---- Bytes in ---- */

static void start_packet(struct gdb *gdb)
{
    gdb->state = DATA;
    gdb->len = 0;
    gdb->sum = 0;
    gdb->garbled = gdb->overlong = gdb->answered = false;
}

static void feed_idle(struct gdb *gdb, u8 byte)
{
    if (byte == INTERRUPT_BYTE && gdb->running)
        interrupt(gdb);
    else if (byte == '-' && gdb->answered && !gdb->no_ack)
        gdb_send(gdb);
}

static void feed_data(struct gdb *gdb, u8 byte)
{
    bool escaped = gdb->state == ESCAPE;

    if (byte == '#') {
        gdb->state = SUM_HIGH;
        gdb->garbled = escaped;
        return;
    }
    gdb->sum = (u8)(gdb->sum + byte);
    gdb->state = byte == '}' && !escaped ? ESCAPE : DATA;
    if (gdb->state == ESCAPE)
        return;
    if (gdb->len == GDB_PACKET_MAX)
        gdb->overlong = true;
    else
        gdb->buffer[gdb->len++] = escaped ? byte ^ 0x20 : byte;
}

/* What remains of the sum when its digits are taken off has to be nothing. */
static void feed_sum(struct gdb *gdb, u8 byte)
{
    u32 digit = gdb_digit(byte);

    if (digit > 15)
        gdb->garbled = true;
    if (gdb->state == SUM_HIGH) {
        gdb->sum = (u8)(gdb->sum - (digit << 4));
        gdb->state = SUM_LOW;
        return;
    }
    if (gdb->sum != digit)
        gdb->garbled = true;
    end_packet(gdb);
}

void gdb_attach(struct gdb *gdb, const struct gdb_backend *backend)
{
    memset(gdb, 0, sizeof(*gdb));
    gdb->backend = backend;
    gdb->running = true;
    gdb->chosen = gdb_thread(0, 0);
}

bool gdb_between_packets(const struct gdb *gdb) { return gdb->state == IDLE; }

enum gdb_event gdb_feed(struct gdb *gdb, u8 byte)
{
    gdb->event = GDB_NOTHING;
    /* Whatever was on its way: data has no '$' but escaped. */
    if (byte == '$')
        start_packet(gdb);
    else if (gdb->state == IDLE)
        feed_idle(gdb, byte);
    else if (gdb->state < SUM_HIGH)
        feed_data(gdb, byte);
    else
        feed_sum(gdb, byte);
    return gdb->event;
}
