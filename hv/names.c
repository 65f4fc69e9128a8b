#include "names.h"
#include "vmx.h"

static NAMES(exit_reasons) =
#define X(id, number) #number " " #id "\0"
    VMX_EXIT_REASONS(X);
#undef X

static NAMES(exceptions) = "0 #DE divide error\0"
                           "1 #DB debug\0"
                           "2 NMI\0"
                           "3 #BP breakpoint\0"
                           "4 #OF overflow\0"
                           "5 #BR bound range\0"
                           "6 #UD invalid opcode\0"
                           "7 #NM no floating point\0"
                           "8 #DF double fault\0"
                           "9 coprocessor overrun\0"
                           "10 #TS invalid TSS\0"
                           "11 #NP segment not present\0"
                           "12 #SS stack fault\0"
                           "13 #GP general protection\0"
                           "14 #PF page fault\0"
                           "16 #MF floating-point error\0"
                           "17 #AC alignment check\0"
                           "18 #MC machine check\0"
                           "19 #XM SIMD error\0"
                           "20 #VE virtualization exception\0"
                           "21 #CP control protection\0";

static const char *read_number(const char *at, u64 *number)
{
    *number = 0;
    while (*at != ' ')
        *number = *number * 10 + (u64)(*at++ - '0');
    return at + 1;
}

const char *name_of(const char *table, u64 number)
{
    u64 here;

    while (*table) {
        table = read_number(table, &here);
        if (here == number)
            return table;
        while (*table++)
            ;
    }
    return NULL;
}

const char *exit_reason_name(u32 basic)
{
    const char *name = name_of(exit_reasons, basic);

    return name ? name : "unknown";
}

const char *exception_name(u64 vector)
{
    const char *name = name_of(exceptions, vector);

    return name ? name : "reserved exception";
}
