/* A packet of gdb's, taken apart from its start on, and the answer that is built in its place. */
#ifndef PLASTRON_HV_MONITOR_GDB_PACKET_H
#define PLASTRON_HV_MONITOR_GDB_PACKET_H

#include "gdb.h"
#include "../format.h"

/* What a packet is answered with. */
enum gdb_answer {
    UNKNOWN, /* empty: gdb goes on without that packet */
    OK,
    ERROR,
    BUILT, /* what stands in the buffer */
    NONE,
};

/* ---- What stands in the packet, from `at` on; false: something else does ---- */

/* The text; a '$' at its end stands for the packet's end. `at` moves only if it is there, with the
   others in any case. */
bool gdb_take_text(struct gdb *gdb, const char *text);

/* Hexadecimal, of at most 64 bits. */
bool gdb_take_number(struct gdb *gdb, u64 *number);

/* A byte in two digits; and size of them, at most 8, the lowest first. */
bool gdb_take_byte(struct gdb *gdb, u8 *byte);
bool gdb_take_value(struct gdb *gdb, u32 size, u64 *value);

/* The rest is bytes in two digits each: they move to the buffer's start. */
bool gdb_take_bytes(struct gdb *gdb, u32 *count);

/* "ADDRESS,LENGTH", a range that does not wrap. */
bool gdb_take_range(struct gdb *gdb, u64 *address, u64 *len);

static inline bool gdb_at_end(const struct gdb *gdb) { return gdb->at == gdb->len; }

/* The value of a digit; 16 and more if it is none. */
u32 gdb_digit(u8 c);

/* ---- The answer; the packet must have been read by then. What does not fit is dropped ---- */

void gdb_append(void *gdb, char c); /* a format_put */
void gdb_append_byte(struct gdb *gdb, u8 byte);

/* By the formats of hv/format.h: to put(), and the whole answer; that returns BUILT. */
void gdb_print_to(format_put *put, void *context, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum gdb_answer gdb_build(struct gdb *gdb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sends the buffer as a packet. */
void gdb_send(struct gdb *gdb);

/* Ends the packet of gdb_print() that is open. */
void gdb_end_print(struct gdb *gdb);

#endif
