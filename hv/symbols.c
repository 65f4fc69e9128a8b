#include "symbols.h"
#include "boot_info.h"

/* The count of symbols at or below the offset. */
static u32 count_upto(u64 offset)
{
    u32 low = 0, high = symbol_count;

    while (low < high) {
        u32 middle = low + (high - low) / 2;

        if (symbol_table[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const char *symbol_find(u64 address, u64 *offset)
{
    const struct symbol *symbol;
    u64 wanted = address - L0_VIRT_BASE;
    u32 below;

    if (address < L0_VIRT_BASE)
        return NULL;
    below = count_upto(wanted);
    if (below == 0)
        return NULL;
    symbol = &symbol_table[below - 1];
    *offset = wanted - symbol->offset;
    return symbol_names[symbol->name] ? &symbol_names[symbol->name] : NULL;
}
