/* The stub of gdb's over a machine that is not there; tests/tools/test_gdb.py asks gdb itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_gdb.h"

#define XX8  "xxxxxxxxxxxxxxxx"
#define XX10 "xxxxxxxxxxxxxxxxxxxx"

/* Thread 1's registers as fake_reset() makes them, from the number on. */
#define R8(n)  n "0100000000cdab"
#define R4(n)  n "010000"
#define R1_7   R8("01") R8("02") R8("03") R8("04") R8("05") R8("06") R8("07")
#define R8_15  R8("08") R8("09") R8("0a") R8("0b") R8("0c") R8("0d") R8("0e") R8("0f")
#define SHORT  R4("11") R4("12") R4("13") R4("14") R4("15") R4("16") R4("17")
#define SYSTEM R8("18") R8("19") R8("1a") R8("1b") R8("1c") R8("1d") R8("1e")
#define ALL    R8("00") R1_7 R8_15 R8("10") SHORT SYSTEM

static char reply[GDB_PACKET_MAX + 1];

/* A session without acknowledgements, the machine stopped by core 0's L0. */
static void begin(void)
{
    fake_reset();
    fake_stop(1, GDB_SIGTRAP, false);
    fake_packet("QStartNoAckMode", 15);
    fake.out_len = 0;
}

static void look(void)
{
    u32 packets, acks;

    assert_true(fake_parse(reply, &packets, &acks));
    assert_null(fake_wrong);
}

static enum gdb_event ask(const char *packet)
{
    enum gdb_event event;

    fake.out_len = 0;
    event = fake_packet(packet, strlen(packet));
    look();
    return event;
}

/* ---- A packet in, a reply out ---- */

/* Packets, with a blank between them, and the reply to the last; and what the machine was told. */
static const struct {
    const char *packets, *reply, *did;
    enum gdb_event event;
} rows[] = {
    {"?", "T05thread:1;", "", GDB_NOTHING},
    {"?x", "", "", GDB_NOTHING},
    {"!", "", "", GDB_NOTHING},
    {"R00", "", "", GDB_NOTHING},
    {"vMustReplyEmpty", "", "", GDB_NOTHING},
    {"vKill;1", "", "", GDB_NOTHING},
    {"vContx", "", "", GDB_NOTHING},
    {"qTStatus", "", "", GDB_NOTHING},
    {"qCRC:0,1", "", "", GDB_NOTHING},
    {"qOffsets", "", "", GDB_NOTHING},
    {"qSymbol::", "OK", "", GDB_NOTHING},
    {"qAttached", "1", "", GDB_NOTHING},
    {"vCont?", "vCont;c;C;s;S", "", GDB_NOTHING},
    {"", "", "", GDB_NOTHING},

    /* Threads. */
    {"qC", "QC1", "", GDB_NOTHING},
    {"qfThreadInfo", "m1,2,3,4,5", "", GDB_NOTHING},
    {"qfThreadInfo qsThreadInfo", "l", "", GDB_NOTHING},
    {"qfThreadInfo qsThreadInfo qfThreadInfo", "m1,2,3,4,5", "", GDB_NOTHING},
    {"qThreadExtraInfo,2", "636f726520302c204c313a204b564d", "", GDB_NOTHING},
    {"qThreadExtraInfo,6", "E01", "", GDB_NOTHING},
    {"qThreadExtraInfo,0", "E01", "", GDB_NOTHING},
    {"qThreadExtraInfo,", "E01", "", GDB_NOTHING},
    {"T1", "OK", "", GDB_NOTHING},
    {"T5", "OK", "", GDB_NOTHING},
    {"T6", "E01", "", GDB_NOTHING},
    {"T7", "E01", "", GDB_NOTHING},
    {"T0", "E01", "", GDB_NOTHING},
    {"T-1", "E01", "", GDB_NOTHING},
    {"T100000001", "E01", "", GDB_NOTHING},
    {"T10000000000000001", "E01", "", GDB_NOTHING},
    {"T1x", "E01", "", GDB_NOTHING},
    {"Hg2 qC", "QC2", "", GDB_NOTHING},
    {"Hg2 Hg0 qC", "QC2", "", GDB_NOTHING},
    {"Hg2 Hg-1 qC", "QC2", "", GDB_NOTHING},
    {"Hg2 Hg6 qC", "QC2", "", GDB_NOTHING},
    {"Hg6", "E01", "", GDB_NOTHING},
    {"Hg-2", "E01", "", GDB_NOTHING},
    {"Hg", "E01", "", GDB_NOTHING},
    {"Hc3", "OK", "", GDB_NOTHING},
    {"Hc-1", "OK", "", GDB_NOTHING},
    {"Hc6", "E01", "", GDB_NOTHING},
    {"Hx1", "", "", GDB_NOTHING},

    /* Registers. */
    {"g", ALL, "", GDB_NOTHING},
    {"gg", "", "", GDB_NOTHING},
    {"p0",
     "0001000000"
     "00cdab",
     "", GDB_NOTHING},
    {"p10",
     "1001000000"
     "00cdab",
     "", GDB_NOTHING},
    {"p11", "11010000", "", GDB_NOTHING},
    {"p1e",
     "1e01000000"
     "00cdab",
     "", GDB_NOTHING},
    {"p1f", XX10, "", GDB_NOTHING},
    {"p26", XX10, "", GDB_NOTHING},
    {"p27", "xxxxxxxx", "", GDB_NOTHING},
    {"p2e", "xxxxxxxx", "", GDB_NOTHING},
    {"p2f", "E01", "", GDB_NOTHING},
    {"pffffffffffffffff", "E01", "", GDB_NOTHING},
    {"p10000000000000000", "E01", "", GDB_NOTHING},
    {"p", "E01", "", GDB_NOTHING},
    {"p1,", "E01", "", GDB_NOTHING},
    {"Hg2 p0", XX8, "", GDB_NOTHING},
    {"Hg2 p1",
     "0102000000"
     "00cdab",
     "", GDB_NOTHING},
    {"P10=efcdab8967452301", "OK", "write 1 10000 0;", GDB_NOTHING},
    {"P10=efcdab8967452301 p10", "efcdab8967452301", "write 1 10000 0;", GDB_NOTHING},
    {"P11=02000000 p11", "02000000", "write 1 20000 0;", GDB_NOTHING},
    {"P11=11010000", "OK", "", GDB_NOTHING}, /* it has that value */
    {"P11=0200000000000000", "E01", "", GDB_NOTHING},
    {"P10=efcdab89674523", "E01", "", GDB_NOTHING},
    {"P10=efcdab896745230", "E01", "", GDB_NOTHING},
    {"P10=efcdab896745230g", "E01", "", GDB_NOTHING},
    {"P10=" XX8, "E01", "", GDB_NOTHING},
    {"P10", "E01", "", GDB_NOTHING},
    {"P10=", "E01", "", GDB_NOTHING},
    {"P1f=00000000000000000000", "E01", "", GDB_NOTHING},
    {"P2f=00000000", "E01", "", GDB_NOTHING},
    {"Hg2 P0=efcdab8967452301", "E01", "", GDB_NOTHING}, /* unknown */
    {"G" ALL, "OK", "", GDB_NOTHING},
    {"G" R8("77") R1_7 R8_15 R8("88") SHORT SYSTEM, "OK", "write 1 10001 0;", GDB_NOTHING},
    {"G" ALL "00", "E01", "", GDB_NOTHING},
    {"G" R8("77"), "E01", "", GDB_NOTHING},
    {"G", "E01", "", GDB_NOTHING},
    {"Hg2 G" ALL, "OK", "write 2 77fffffe 0;", GDB_NOTHING}, /* all but the unknown ones */

    /* Memory. */
    {"m10000,4", "00010203", "", GDB_NOTHING},
    {"Hg2 m10000,4", "40414243", "", GDB_NOTHING},
    {"Hg5 m10000,4", "40414243", "", GDB_NOTHING},
    {"Hg3 m10000,4", "80818283", "", GDB_NOTHING},
    {"m10ffe,10", "feff", "", GDB_NOTHING},
    {"m11000,1", "E01", "", GDB_NOTHING},
    {"mffff,2", "E01", "", GDB_NOTHING},
    {"mffffffffffffffff,1", "E01", "", GDB_NOTHING},
    {"mffffffffffffffff,2", "E01", "", GDB_NOTHING},
    {"m10000,ffffffffffffffff", "E01", "", GDB_NOTHING},
    {"m10000,10000000000000000", "E01", "", GDB_NOTHING},
    {"m10000,0", "E01", "", GDB_NOTHING},
    {"m10000", "E01", "", GDB_NOTHING},
    {"m10000,", "E01", "", GDB_NOTHING},
    {"m,4", "E01", "", GDB_NOTHING},
    {"m", "E01", "", GDB_NOTHING},
    {"m10000,4:", "E01", "", GDB_NOTHING},
    {"M10010,3:aabbCC", "OK", "memory 1 10010 3;", GDB_NOTHING},
    {"M10010,3:aabbCC m1000f,5", "0faabbcc13", "memory 1 10010 3;", GDB_NOTHING},
    {"M10010,2:f00f m10010,2", "f00f", "memory 1 10010 2;", GDB_NOTHING},
    {"M10010,0:", "OK", "", GDB_NOTHING},
    {"M10010,3:aabb", "E01", "", GDB_NOTHING},
    {"M10010,3:aabbccdd", "E01", "", GDB_NOTHING},
    {"M10010,3:aabbc", "E01", "", GDB_NOTHING},
    {"M10010,3:aabbcx", "E01", "", GDB_NOTHING},
    {"M10010,3aabbcc", "E01", "", GDB_NOTHING},
    {"M10fff,2:aabb", "E01", "memory 1 10fff 1;", GDB_NOTHING},
    {"Mffffffffffffffff,2:aabb", "E01", "", GDB_NOTHING},
    {"X10010,3:a}* m10010,3", "617d2a", "memory 1 10010 3;", GDB_NOTHING},
    {"X10010,1:# m10010,1", "23", "memory 1 10010 1;", GDB_NOTHING},
    {"X10010,1:$ m10010,1", "24", "memory 1 10010 1;", GDB_NOTHING},
    {"X10010,1:\x03 m10010,1", "03", "memory 1 10010 1;", GDB_NOTHING},
    {"X0,0:", "OK", "", GDB_NOTHING},
    {"X10010,3:ab", "E01", "", GDB_NOTHING},
    {"X10010,3:abcd", "E01", "", GDB_NOTHING},
    {"X10010,ffffffff:abcd", "E01", "", GDB_NOTHING},
    {"X10010,3", "E01", "", GDB_NOTHING},

    /* Breakpoints. */
    {"Z0,400010,1", "OK", "set 400010 0 0;", GDB_NOTHING},
    {"z0,400010,1", "OK", "clear 400010 0 0;", GDB_NOTHING},
    {"Z0,500000,1", "E01", "", GDB_NOTHING},
    {"Z0,400010,2", "E01", "", GDB_NOTHING},
    {"Z0,400010", "E01", "", GDB_NOTHING},
    {"Z0,400010,1;X1,0", "E01", "", GDB_NOTHING},
    {"Z1,400010,1", "", "", GDB_NOTHING},
    {"Z2,400010,1", "", "", GDB_NOTHING},
    {"z3,400010,1", "", "", GDB_NOTHING},
    {"Z4,400010,1", "", "", GDB_NOTHING},

    /* Running: no reply until it stops. */
    {"vCont;c", NULL, "resume 1 0 1;", GDB_RESUMED},
    {"vCont;s", NULL, "resume 1 1 1;", GDB_RESUMED},
    {"vCont;s:2;c", NULL, "resume 2 1 1;", GDB_RESUMED},
    {"vCont;S05:2;C0b", NULL, "resume 2 1 1;", GDB_RESUMED},
    {"vCont;s:2;c:-1", NULL, "resume 2 1 1;", GDB_RESUMED},
    {"vCont;s:2", NULL, "resume 2 1 0;", GDB_RESUMED},
    {"vCont;c:4", NULL, "resume 4 0 0;", GDB_RESUMED},
    {"vCont;c;s:2", NULL, "resume 1 0 1;", GDB_RESUMED}, /* the first that fits holds */
    {"vCont;s:2;s:2;c:2", NULL, "resume 2 1 0;", GDB_RESUMED},
    {"vCont;s:2;c:3", "E01", "", GDB_NOTHING},
    {"vCont;s:2;s", "E01", "", GDB_NOTHING},
    {"vCont;s:6", "E01", "", GDB_NOTHING},
    {"vCont;s:2;c:6", "E01", "", GDB_NOTHING},
    {"vCont;", "E01", "", GDB_NOTHING},
    {"vCont;t:2", "E01", "", GDB_NOTHING},
    {"vCont;r1,2:2", "E01", "", GDB_NOTHING},
    {"vCont;S0:2", "E01", "", GDB_NOTHING},
    {"vCont;c;", "E01", "", GDB_NOTHING},
    {"vCont;cx", "E01", "", GDB_NOTHING},
    {"vCont;c:", "E01", "", GDB_NOTHING},
    {"c", NULL, "resume 1 0 1;", GDB_RESUMED},
    {"s", NULL, "resume 1 1 1;", GDB_RESUMED},
    {"C05", NULL, "resume 1 0 1;", GDB_RESUMED},
    {"S05", NULL, "resume 1 1 1;", GDB_RESUMED},
    {"Hc3 s", NULL, "resume 3 1 1;", GDB_RESUMED},
    {"Hg3 s", NULL, "resume 3 1 1;", GDB_RESUMED},
    {"Hc3 Hc0 s", NULL, "resume 1 1 1;", GDB_RESUMED},
    {"c400010", "E01", "", GDB_NOTHING},
    {"C", "E01", "", GDB_NOTHING},
    {"C5", "E01", "", GDB_NOTHING},
    {"S05;400010", "E01", "", GDB_NOTHING},

    /* Leaving. */
    {"D", "OK", "", GDB_DETACHED},
    {"k", NULL, "", GDB_DETACHED},
    {"D;1", "", "", GDB_NOTHING},
    {"D g", "E01", "", GDB_NOTHING}, /* the machine runs */
    {"k g", "E01", "", GDB_NOTHING},

    /* Commands: "hi". */
    {"qRcmd,6869", "OK", "", GDB_NOTHING},
    {"qRcmd,", "OK", "", GDB_NOTHING},
    {"qRcmd,686", "E01", "", GDB_NOTHING},
    {"qRcmd,68xx", "E01", "", GDB_NOTHING},

    {"qXfer:features:read:other.xml:0,100", "E01", "", GDB_NOTHING},
    {"qXfer:features:read:target.xml:0", "E01", "", GDB_NOTHING},
    {"qXfer:features:read:target.xml:10000,100", "l", "", GDB_NOTHING},
    {"qXfer:features:read:target.xml:6,4", "mvers", "", GDB_NOTHING},
    {"qXfer:features:read:target.xml:0,0", "m", "", GDB_NOTHING},
    {"qXfer:features:write:target.xml:0:", "", "", GDB_NOTHING},
    {"qXfer:threads:read::0,100", "", "", GDB_NOTHING},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char packets[2 * GDB_PACKET_MAX];
        enum gdb_event event = GDB_NOTHING;
        char *at = packets, *blank;

        begin();
        strcpy(packets, rows[i].packets);
        for (; (blank = strchr(at, ' ')) != NULL; at = blank + 1) {
            *blank = 0;
            ask(at);
        }
        event = ask(at);
        if (strcmp(reply, rows[i].reply ? rows[i].reply : "") || event != rows[i].event ||
            strcmp(fake.did, rows[i].did) || (fake.out_len == 0) != !rows[i].reply)
            fail_msg("'%s': '%s' '%s' %d", rows[i].packets, reply, fake.did, (int)event);
    }
}

/* ---- Framing ---- */

static void expect_out(const char *bytes)
{
    if (fake.out_len != strlen(bytes) || memcmp(fake.out, bytes, fake.out_len))
        fail_msg("wanted '%s', not '%.*s'", bytes, (int)fake.out_len, (const char *)fake.out);
    assert_null(fake_wrong);
    fake.out_len = 0;
}

static enum gdb_event raw(const char *bytes) { return fake_feed(bytes, strlen(bytes)); }

static void test_acknowledgements(void **state)
{
    (void)state;
    fake_reset();
    fake_stop(1, GDB_SIGTRAP, false);
    raw("-");
    expect_out(""); /* nothing was sent yet */
    raw("+$qAttached#8f");
    expect_out("+$1#31");
    raw("-");
    expect_out("$1#31");
    raw("-");
    expect_out("$1#31");
    raw("+$qAttached#8e");
    expect_out("-");
    raw("-"); /* what was sent last is gone */
    expect_out("");
    raw("$qAttached#8F");
    expect_out("+$1#31");
    raw("$!#21");
    expect_out("+$#00");
    raw("-");
    expect_out("$#00");
    raw("$QStartNoAckMode#b0");
    expect_out("+$OK#9a");
    raw("+$qAttached#8f");
    expect_out("$1#31");
    raw("-");
    expect_out("");
    raw("$qAttached#8e");
    expect_out("$E01#a6");
    /* Another gdb. */
    raw("+$qSupported:swbreak+#8b");
    assert_memory_equal(fake.out, "+$PacketSize=400;", 17);
}

static void test_damaged(void **state)
{
    static const char *const bad[] = {
        "$g#x7", "$g#6x", "$g#\x03\x03", "$g}#e4", "$}#7d", "$g#",  "$",
        "#67",   "$g##7", "garbage",     "$g#66",  "$#x0",  "$#0x", "$P#4x",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        fake_reset();
        fake_stop(1, GDB_SIGTRAP, false);
        assert_int_equal(raw(bad[i]), GDB_NOTHING);
        assert_true(fake.out_len == 0 || (fake.out_len == 1 && fake.out[0] == '-'));
        fake.out_len = 0;
        raw("$qAttached#8f");
        expect_out("+$1#31");
    }
}

/* A packet that begins anew in every state of the one before. */
static void test_begins_anew(void **state)
{
    (void)state;
    fake_reset();
    fake_stop(1, GDB_SIGTRAP, false);
    raw("$m1$qAttached#8f");
    expect_out("+$1#31");
    raw("$m}$qAttached#8f");
    expect_out("+$1#31");
    raw("$m1#$qAttached#8f");
    expect_out("+$1#31");
    raw("$m1#1$qAttached#8f");
    expect_out("+$1#31");
}

/* The longest packet is done, one byte more is refused. Escapes do not count. */
static void test_longest(void **state)
{
    char text[GDB_PACKET_MAX + 2];

    (void)state;
    begin();
    memset(text, '}', sizeof(text));
    assert_int_equal(GDB_PACKET_MAX - 12, 0x3f4);
    memcpy(text, "X10000,03f4:", 12);
    fake_packet(text, GDB_PACKET_MAX);
    expect_out("$OK#9a");
    assert_string_equal(fake.did, "memory 1 10000 3f4;");
    assert_int_equal(fake.memory[0][0x3f3], '}');
    assert_int_equal(fake.memory[0][0x3f4], 0xf4);
    memcpy(text, "X10000,03f5:", 12);
    fake_packet(text, GDB_PACKET_MAX + 1);
    expect_out("$E01#a6");
    memcpy(text, "qSymbol:", 8);
    fake_packet(text, GDB_PACKET_MAX);
    expect_out("$OK#9a");
    fake_packet(text, GDB_PACKET_MAX + 1);
    expect_out("$E01#a6");
    /* The longest reply. */
    assert_int_equal(ask("m10000,ffff"), GDB_NOTHING);
    assert_int_equal(strlen(reply), GDB_PACKET_MAX);
    for (u32 i = 0; i < GDB_PACKET_MAX / 2; i++) {
        char byte[3];

        snprintf(byte, sizeof(byte), "%02x", i < 0x3f4 ? (u8)'}' : (u8)i);
        assert_memory_equal(reply + 2 * i, byte, 2);
    }
}

/* ---- Stops ---- */

static void test_stops(void **state)
{
    (void)state;
    begin();
    assert_int_equal(ask("Hg2"), GDB_NOTHING);
    assert_int_equal(ask("Hc2"), GDB_NOTHING);
    assert_int_equal(ask("vCont;c"), GDB_RESUMED);
    expect_out("");
    fake_stop(4, GDB_SIGTRAP, true);
    expect_out("$T05thread:4;swbreak:;#3e");
    /* The thread that stopped is the one that is looked at and goes on. */
    ask("qC");
    assert_string_equal(reply, "QC4");
    fake.did[0] = 0;
    assert_int_equal(ask("s"), GDB_RESUMED);
    assert_string_equal(fake.did, "resume 4 1 1;");
    fake_stop(4, GDB_SIGTRAP, false);
    expect_out("$T05thread:4;#da");
    /* Nobody asked. */
    fake_stop(1, GDB_SIGABRT, false);
    expect_out("");
    ask("?");
    assert_string_equal(reply, "T06thread:1;");
}

static void test_interrupts(void **state)
{
    (void)state;
    begin();
    assert_int_equal(raw("\x03"), GDB_NOTHING); /* it stands still already */
    ask("c");
    assert_int_equal(raw("\x03"), GDB_INTERRUPT);
    expect_out("");
    fake_stop(2, GDB_SIGINT, false);
    expect_out("$T02thread:2;#d5");
    assert_int_equal(raw("\x03"), GDB_NOTHING);
    expect_out("");
}

/* A packet that stops the machine in its middle is dropped. */
static void test_stop_within_a_packet(void **state)
{
    (void)state;
    begin();
    ask("c");
    raw("$qAtt");
    fake_stop(2, GDB_SIGTRAP, false);
    expect_out("$T05thread:2;#d8");
    raw("ached#8f");
    expect_out("");
    ask("qAttached");
    assert_string_equal(reply, "1");
}

/* gdb comes while the machine runs, and asks why it stopped. */
static void test_attach_to_what_runs(void **state)
{
    (void)state;
    fake_reset();
    assert_int_equal(raw("+$qSupported#37"), GDB_NOTHING);
    raw("$QStartNoAckMode#b0");
    fake.out_len = 0;
    ask("Hg0");
    assert_string_equal(reply, "OK");
    ask("qXfer:features:read:target.xml:0,5");
    assert_string_equal(reply, "m<?xml");
    for (const char *at = "gGmMpPcCsSXzZ"; *at; at++) {
        char packet[] = {*at, '0', ',', '1', 0};

        ask(*at == 'g' ? "g" : packet);
        assert_string_equal(reply, "E01");
    }
    ask("vCont;c");
    assert_string_equal(reply, "E01");
    assert_int_equal(ask("?"), GDB_INTERRUPT);
    expect_out("");
    fake_stop(5, GDB_SIGINT, false);
    expect_out("$T02thread:5;#d8");
}

/* The first gdb is gone while it waited; the stop is not told to the next one before it asks. */
static void test_another_gdb(void **state)
{
    (void)state;
    begin();
    ask("c");
    raw("+$qSupported#37");
    fake.out_len = 0;
    fake_stop(4, GDB_SIGTRAP, true);
    expect_out("");
    raw("$?#3f");
    expect_out("+$T05thread:4;swbreak:;#3e");
}

static void test_refused(void **state)
{
    (void)state;
    begin();
    fake.will_not = true;
    assert_int_equal(ask("c"), GDB_NOTHING);
    assert_string_equal(reply, "E01");
    ask("vCont;s:2;c");
    assert_string_equal(reply, "E01");
    ask("P0=0000000000000000");
    assert_string_equal(reply, "E01");
    ask("?"); /* it still stands */
    assert_string_equal(reply, "T05thread:1;");
}

/* ---- Output ---- */

static void test_command_output(void **state)
{
    (void)state;
    begin();
    raw("$qRcmd,6869#"); /* "hi" */
    raw("fc");
    expect_out("$E01#a6"); /* the sum of that is another */
    fake_packet("qRcmd,6869", 10);
    expect_out("$O68693f0a#56$OK#9a");
    strcpy(fake.say, "a\nb%.0s"); /* no end of line at the end */
    fake_packet("qRcmd,6869", 10);
    expect_out("$O610a#47$O62#b7$OK#9a");
    strcpy(fake.say, "%.0s");
    fake_packet("qRcmd,6869", 10);
    expect_out("$OK#9a");
}

/* A line that is longer than a packet. */
static void test_long_output(void **state)
{
    u32 packets, acks;

    (void)state;
    begin();
    memset(fake.say, 'a', 1000);
    strcpy(fake.say + 1000, "%.0s");
    fake_packet("qRcmd,", 6);
    assert_true(fake_parse(reply, &packets, &acks));
    assert_int_equal(packets, 5);
    assert_string_equal(reply, "OK");
}

/* What comes up while the machine runs is shown, and then the stop; at other times it is not. */
static void test_other_output(void **state)
{
    (void)state;
    begin();
    gdb_print(&fake.gdb, 'a');
    expect_out("");
    ask("c");
    gdb_print(&fake.gdb, 'a');
    gdb_print(&fake.gdb, 'b');
    fake_stop(1, GDB_SIGTRAP, false);
    expect_out("$O6162#1e$T05thread:1;#d7");
    gdb_print(&fake.gdb, 'a');
    expect_out("");
    ask("D");
    expect_out("$OK#9a");
    gdb_print(&fake.gdb, 'a');
    expect_out("");
}

/* ---- The description of the registers ---- */

static char description[8192];

static size_t read_description(u32 step)
{
    size_t len = 0;

    description[0] = 0;
    do {
        char packet[64];

        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,%x", len, step);
        ask(packet);
        assert_true(reply[0] == 'm' || reply[0] == 'l');
        assert_true(strlen(reply + 1) <= step);
        strcpy(description + len, reply + 1);
        len += strlen(reply + 1);
    } while (reply[0] == 'm' && len < sizeof(description) - GDB_PACKET_MAX);
    return len;
}

/* The same in parts of any length, with each register once. */
static void test_description(void **state)
{
    static char first[sizeof(description)];
    size_t len;
    u32 seen = 0;

    (void)state;
    begin();
    len = read_description(0xffb);
    assert_string_equal(description + len - 19, "</feature></target>");
    strcpy(first, description);
    for (u32 step = 1; step < 40; step++) {
        assert_int_equal(read_description(step), len);
        assert_string_equal(description, first);
    }
    for (u32 i = 0; i < 47; i++) {
        char number[32];

        snprintf(number, sizeof(number), "regnum=\"%u\"", i);
        seen += strstr(first, number) != NULL;
    }
    assert_int_equal(seen, 47);
    assert_non_null(strstr(first, "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>"));
    assert_non_null(strstr(first, "<reg name=\"gs_base\" bitsize=\"64\" regnum=\"25\""));
    assert_non_null(strstr(first, "<reg name=\"efer\" bitsize=\"64\" regnum=\"30\""));
    assert_non_null(strstr(first, "<reg name=\"gs\" bitsize=\"32\" regnum=\"23\""));
}

/* ---- Many cores ---- */

static bool all_alive(u32 thread)
{
    (void)thread;
    return true;
}

static void test_many_threads(void **state)
{
    struct gdb_backend many = fake_backend;
    u32 next = 1;
    const char *ask_for = "qfThreadInfo";

    (void)state;
    fake_reset();
    many.cores = 256;
    many.thread_alive = all_alive;
    gdb_attach(&fake.gdb, &many);
    for (;; ask_for = "qsThreadInfo") {
        ask(ask_for);
        if (reply[0] == 'l')
            break;
        assert_int_equal(reply[0], 'm');
        for (char *at = reply + 1; *at; at += *at == ',')
            assert_int_equal(strtoul(at, &at, 16), next++);
    }
    assert_int_equal(next, 256 * GDB_LEVELS + 1);
    ask("T300");
    assert_string_equal(reply, "OK");
    ask("T301");
    assert_string_equal(reply, "E01");
}

static const char *describe_at_length(u32 thread)
{
    static char text[GDB_PACKET_MAX];

    (void)thread;
    memset(text, 'a', sizeof(text) - 1);
    return text;
}

static void test_long_description_of_a_thread(void **state)
{
    struct gdb_backend wordy = fake_backend;

    (void)state;
    fake_reset();
    wordy.describe = describe_at_length;
    gdb_attach(&fake.gdb, &wordy);
    ask("qThreadExtraInfo,1");
    assert_int_equal(strlen(reply), GDB_PACKET_MAX);
    assert_memory_equal(reply + GDB_PACKET_MAX - 2, "61", 2);
}

/* ---- At random ---- */

static u64 seed;

static u32 any(u32 below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (u32)(seed >> 20) % below;
}

/* Goes on as a machine does, and looks at what was sent. */
static void after(enum gdb_event event)
{
    u32 packets, acks;

    if (event == GDB_DETACHED)
        gdb_attach(&fake.gdb, &fake_backend);
    if (event == GDB_INTERRUPT || (event != GDB_NOTHING && any(2)))
        fake_stop(1 + any(5), any(256), any(2));
    if (!fake_parse(reply, &packets, &acks) || fake.lost || fake_wrong)
        fail_msg("%s: '%.*s'", fake_wrong ? fake_wrong : "what was sent is no packet",
                 (int)fake.out_len, (const char *)fake.out);
    fake.out_len = 0;
    fake.did[0] = 0;
}

static void test_random_bytes(void **state)
{
    static const char likely[] = "$$##++-\x03}gGpPmMcCsSXZzTHDkqv?:;,=0123456789abcdef";

    (void)state;
    seed = 1;
    fake_reset();
    for (u32 i = 0; i < 1000000; i++) {
        u8 byte = any(4) ? (u8)likely[any(sizeof(likely) - 1)] : (u8)any(256);

        after(fake_feed(&byte, 1));
    }
}

/* The rows' packets, with some bytes other than they were, cut off, or one put behind another. */
static void test_mutations(void **state)
{
    u32 resumed = 0, stopped = 0;

    (void)state;
    seed = 2;
    fake_reset();
    for (u32 i = 0; i < 300000; i++) {
        const char *one = rows[any(ARRAY_SIZE(rows))].packets,
                   *other = rows[any(ARRAY_SIZE(rows))].packets;
        char packet[4 * GDB_PACKET_MAX];
        enum gdb_event event;
        size_t len;

        strcpy(packet, one);
        if (!any(8))
            strcat(packet, other);
        len = strlen(packet);
        for (u32 n = any(4); n && len; n--)
            packet[any((u32)len)] = any(2) ? (char)any(256) : "0123456789abcdef,:;-="[any(21)];
        if (len && !any(4))
            len = any((u32)len);
        event = fake_packet(packet, len);
        resumed += event == GDB_RESUMED;
        stopped += fake.stopped;
        after(event);
        if (!fake.stopped && !any(3))
            fake_stop(1 + any(5), GDB_SIGTRAP, any(2));
    }
    /* It was not one error after another. */
    assert_true(resumed > 1000 && stopped > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_acknowledgements),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_begins_anew),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_stop_within_a_packet),
        cmocka_unit_test(test_attach_to_what_runs),
        cmocka_unit_test(test_another_gdb),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_command_output),
        cmocka_unit_test(test_long_output),
        cmocka_unit_test(test_other_output),
        cmocka_unit_test(test_description),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_long_description_of_a_thread),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests_name("gdb", tests, NULL, NULL);
}
