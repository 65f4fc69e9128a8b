/* L0's own bugs end here, and nothing else. */
#ifndef PLASTRON_HV_PANIC_H
#define PLASTRON_HV_PANIC_H

#include "types.h"

/* Registers of the code that a trap in L0 interrupted, as hv/trap.asm pushes them. */
struct trap_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error_code;
    u64 rip, cs, rflags, rsp, ss;
};

/* Stops all cores and prints reason, core, registers, a symbolised backtrace and the current
   VMCS's fields by name. Never returns. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic_trap(const struct trap_frame *frame);

/* True once a core has panicked; the others stop themselves at their next exit or NMI. */
extern volatile u32 panicking;
_Noreturn void panic_stop_this_core(void);

#endif
