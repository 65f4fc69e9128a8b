/* The log: one line a call, to the console UART (by urgency) and to a ring in memory. */
#ifndef PLASTRON_HV_LOG_H
#define PLASTRON_HV_LOG_H

#include <stdarg.h>
#include "config.h"
#include "types.h"

/* Takes the console's UART port (0: none), its baud rate (0: leave it) and the lowest urgency
   printed. Before this call lines go to the ring alone. */
void log_init(u16 port, u32 baud, u32 level);

/* Prints "Plastron: " text "\n" on the console if level is urgent enough, and keeps it in the
   ring. Formats: those of hv/format.h. */
void log_print(u32 level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_print(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)

/* For what L1 can bring about as often as it likes: said the first time. */
#define log_warn_once(...)                                                                         \
    do {                                                                                           \
        static u32 said;                                                                           \
        if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))                                      \
            log_warn(__VA_ARGS__);                                                                 \
    } while (0)

/* The same without prefix, level and lock: for panic. */
void log_raw(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
