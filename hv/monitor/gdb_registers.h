/* gdb's packets that are about registers: g, G, p, P, and their description, which gdb reads. */
#ifndef PLASTRON_HV_MONITOR_GDB_REGISTERS_H
#define PLASTRON_HV_MONITOR_GDB_REGISTERS_H

#include "gdb_packet.h"

/* Each takes a packet whose name has been read, and returns what it is answered with. */
enum gdb_answer gdb_read_registers(struct gdb *gdb);
enum gdb_answer gdb_write_registers(struct gdb *gdb);
enum gdb_answer gdb_read_register(struct gdb *gdb);
enum gdb_answer gdb_write_register(struct gdb *gdb);
enum gdb_answer gdb_describe_registers(struct gdb *gdb);

#endif
