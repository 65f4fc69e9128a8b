#include "exit_names.h"
#include "vmx.h"

static const u8 numbers[] = {
#define X(id, number) number,
    VMX_EXIT_REASONS(X)
#undef X
};

/* One behind the other: a table of pointers would be as long as the names. */
static const char names[] =
#define X(id, number) #id "\0"
    VMX_EXIT_REASONS(X)
#undef X
    ;

const char *exit_reason_name(u32 reason)
{
    const char *name = names;

    for (u32 i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (numbers[i] == reason)
            return name;
        while (*name++)
            ;
    }
    return NULL;
}
