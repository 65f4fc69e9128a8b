/* User wait and pause: TPAUSE, UMONITOR, UMWAIT in L2. SDM vol. 3, "Instructions That Cause VM
   Exits Conditionally" and "Changes to Instruction Behavior in VMX Non-Root Operation". */
#include "guest_rows.h"

#define WAIT  PROC2(SECONDARY_EXEC_USER_WAIT_PAUSE)
#define EXITS WAIT, PROC(CPU_BASED_RDTSC_EXITING)
#define PAST  REG(RAX, 0), REG(RDX, 0) /* a time that is over */
#define CODES M64 | M32 | REAL | USER64

static const struct guest_row wait_rows[] = {
    {.name = "tpause", .modes = CODES, .edits = {WAIT, REG(RCX, 0), PAST}},
    {.name = "tpause c0.1", .code = "tpause", .edits = {WAIT, REG(RCX, 1), PAST}},
    {.name = "tpause of state 2", .code = "tpause", .edits = {WAIT, REG(RCX, 2), PAST}},
    {.name = "umwait", .modes = CODES, .edits = {WAIT, REG(RCX, 1), PAST}},
    {.name = "umwait of state 2", .code = "umwait", .edits = {WAIT, REG(RCX, 2), PAST}},
    {.name = "umonitor", .modes = M64 | M32 | USER64, .edits = {WAIT, REG(RAX, L2_DATA)}},
    {.name = "umonitor of no page", .code = "umonitor", .edits = {WAIT, REG(RAX, 0x300000)}},
    {.name = "tpause disabled", .code = "tpause", .modes = M64 | USER64 | M32},
    {.name = "umwait disabled", .code = "umwait", .modes = M64 | USER64 | M32},
    {.name = "umonitor disabled",
     .code = "umonitor",
     .modes = M64 | USER64,
     .edits = {REG(RAX, L2_DATA)}},
    {.name = "tpause exits", .code = "tpause", .modes = CODES, .edits = {EXITS, REG(RCX, 1)}},
    {.name = "umwait exits", .code = "umwait", .modes = CODES, .edits = {EXITS, REG(RCX, 1)}},
    {.name = "umwait edx exits", .code = "umwait edx", .edits = {EXITS, REG(RDX, 1)}},
    {.name = "tpause of state 2 exits", .code = "tpause", .edits = {EXITS, REG(RCX, 2)}},
    {.name = "tpause disabled, rdtsc exiting",
     .code = "tpause",
     .edits = {PROC(CPU_BASED_RDTSC_EXITING)}},
    {.name = "tpause with cr4.tsd",
     .code = "tpause",
     .modes = M64 | USER64,
     .edits = {WAIT, PAST, REG(RCX, 0), OR(GUEST_CR4, CR4_TSD)}},
    {.name = "tpause with cr4.tsd exits",
     .code = "tpause",
     .modes = M64 | USER64,
     .edits = {EXITS, REG(RCX, 0), OR(GUEST_CR4, CR4_TSD)}},
    {.name = "tpause, tsc offset",
     .code = "tpause",
     .edits = {WAIT, PAST, REG(RCX, 0), PROC(CPU_BASED_USE_TSC_OFFSETING),
               SET(TSC_OFFSET, BIT64(40))}},
};

void rows_wait(void)
{
    if (feature_offered(FEATURE_USER_WAIT))
        guest_rows("wait", wait_rows, ARRAY_SIZE(wait_rows));
    else if (row(STATE_OFF, "wait.state"))
        row_needs(FEATURE_USER_WAIT);
}
