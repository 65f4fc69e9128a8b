/*
 * hv/monitor/gdb.c fed with any bytes, alone and in sound packets. What it sends is packets, what
 * it asks of the machine is within bounds, and what is written is what is read afterwards.
 */
#include "fuzz.h"

#include "tests/unit/fake_gdb.h"

static char reply[GDB_PACKET_MAX + 1];
static u32 packets, acks;

static void look(void)
{
    DEMAND(fake_parse(reply, &packets, &acks));
    DEMAND(!fake_wrong && !fake.lost);
    DEMAND(fake.gdb.len <= GDB_PACKET_MAX && fake.gdb.at <= GDB_PACKET_MAX);
    fake.out_len = 0;
    fake.did[0] = 0;
}

static void feed_bytes(struct input *in)
{
    for (u32 n = take8(in); n && !is_empty(in); n--) {
        u8 byte = take8(in);

        if (fake_feed(&byte, 1) == GDB_DETACHED)
            gdb_attach(&fake.gdb, &fake_backend);
        look();
    }
}

/* One that is sound is answered once, but when it lets the machine run. */
static enum gdb_event feed_packet(const void *data, size_t len)
{
    enum gdb_event event = fake_packet(data, len);
    u32 shown = 0;

    for (u32 i = 0; i + 1 < fake.out_len; i++)
        shown += fake.out[i] == '$' && fake.out[i + 1] == 'O' && fake.out[i + 2] != 'K';
    look();
    DEMAND(acks <= 1);
    if (event == GDB_NOTHING)
        DEMAND(packets == shown + 1);
    if (event == GDB_RESUMED || event == GDB_INTERRUPT)
        DEMAND(packets == 0);
    if (event == GDB_DETACHED)
        gdb_attach(&fake.gdb, &fake_backend);
    return event;
}

static void feed_any_packet(struct input *in)
{
    u8 data[1100];
    size_t len = take16(in) % sizeof(data), i;

    for (i = 0; i < len && !is_empty(in); i++)
        data[i] = take8(in);
    feed_packet(data, i);
}

static void ask(const char *packet) { feed_packet(packet, strlen(packet)); }

static u32 level(void) { return gdb_thread_level(fake.gdb.chosen); }

static void read_memory(struct input *in)
{
    u64 offset = take16(in) % (FAKE_SIZE + 16), len = take16(in) % 600, reach;
    char packet[64];

    snprintf(packet, sizeof(packet), "m%llx,%llx", (unsigned long long)(FAKE_MEMORY + offset),
             (unsigned long long)len);
    ask(packet);
    reach = offset < FAKE_SIZE ? FAKE_SIZE - offset : 0;
    reach = len < reach ? len : reach;
    reach = reach < GDB_PACKET_MAX / 2 ? reach : GDB_PACKET_MAX / 2;
    if (!fake.stopped || !reach) {
        DEMAND(!strcmp(reply, "E01"));
        return;
    }
    DEMAND(strlen(reply) == 2 * reach);
    for (u64 i = 0; i < reach; i++) {
        char byte[3];

        snprintf(byte, sizeof(byte), "%02x", fake.memory[level()][offset + i]);
        DEMAND(!memcmp(reply + 2 * i, byte, 2));
    }
}

static void write_memory(struct input *in)
{
    u32 offset = take16(in) % FAKE_SIZE, len = take8(in), at;
    bool binary = take8(in) & 1;
    u8 data[256] = {0};
    char packet[1024];

    if (len > FAKE_SIZE - offset)
        len = (u32)FAKE_SIZE - offset;
    for (u32 i = 0; i < len; i++)
        data[i] = take8(in);
    at = (u32)snprintf(packet, sizeof(packet), "%c%llx,%x:", binary ? 'X' : 'M',
                       (unsigned long long)FAKE_MEMORY + offset, len);
    for (u32 i = 0; i < len && !binary; i++)
        at += (u32)snprintf(packet + at, sizeof(packet) - at, "%02x", data[i]);
    if (binary) {
        memcpy(packet + at, data, len);
        at += len;
    }
    feed_packet(packet, at);
    DEMAND(!strcmp(reply, fake.stopped ? "OK" : "E01"));
    if (fake.stopped)
        DEMAND(!memcmp(&fake.memory[level()][offset], data, len));
}

static void write_register(struct input *in)
{
    u32 number = take8(in) % 31;
    u64 value = fake_is_short(number) ? take32(in) : take_value(in), swapped = value;
    struct gdb_registers *registers = &fake.registers[fake.gdb.chosen - 1];
    bool known = !(registers->unknown & BIT64(number));
    char packet[64], text[17];

    swapped = __builtin_bswap64(fake_is_short(number) ? value << 32 : value);
    snprintf(text, sizeof(text), "%0*llx", fake_is_short(number) ? 8 : 16,
             (unsigned long long)swapped);
    snprintf(packet, sizeof(packet), "P%x=%s", number, text);
    ask(packet);
    DEMAND(!strcmp(reply, fake.stopped && known ? "OK" : "E01"));
    if (!fake.stopped)
        return;
    DEMAND(!known || registers->value[number] == value);
    snprintf(packet, sizeof(packet), "p%x", number);
    ask(packet);
    DEMAND(!strcmp(reply, known ? text : "xxxxxxxxxxxxxxxx"));
}

/* vCont of any actions, for any threads. */
static void let_run(struct input *in)
{
    static const char *const actions[] = {"c", "s", "C05", "S0b", "t", "", "cs"};
    static const char *const threads[] = {"", ":1", ":2", ":3", ":4", ":5", ":6", ":-1", ":0", ":"};
    char packet[256] = "vCont";

    for (u32 n = take8(in) % 4; n; n--) {
        strcat(packet, ";");
        strcat(packet, actions[take8(in) % ARRAY_SIZE(actions)]);
        strcat(packet, threads[take8(in) % ARRAY_SIZE(threads)]);
    }
    ask(packet);
}

/* A thread that is alive. Another one's breakpoint does not change what gdb was told. */
static void stop(struct input *in)
{
    u32 thread = 1 + take8(in) % 5, signal = take8(in);
    bool known = !fake.gdb.running && !fake.gdb.waiting && signal == GDB_SIGTRAP;
    u32 wanted = known ? fake.gdb.chosen : thread;

    fake_stop(thread, signal, take8(in) & 1);
    look();
    DEMAND(packets <= 2 && fake.gdb.chosen == wanted);
}

static void print(struct input *in)
{
    for (u32 n = take8(in); n; n--)
        gdb_print(&fake.gdb, (char)take8(in));
    /* An open packet is whole when the machine stops. */
    fake_stop(1, GDB_SIGTRAP, false);
    look();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static void (*const kinds[])(struct input * in) = {
        feed_bytes,     feed_any_packet, read_memory, write_memory,
        write_register, let_run,         stop,        print,
    };
    struct input in = {data, data + size};

    fake_reset();
    while (!is_empty(&in))
        kinds[take8(&in) % ARRAY_SIZE(kinds)](&in);
    return 0;
}
