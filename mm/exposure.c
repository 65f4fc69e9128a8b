#include "exposure.h"

#include "lib.h"
#include "vmx.h"

#define FULL      0xff
#define WORD_BITS 64

static u32 shift_of(u32 level) { return PAGE_SHIFT + 9 * (level - 1); }

u64 exposure_size(u64 top)
{
    u64 size = 0;

    for (u32 level = 1; level <= EXPOSURE_LEVELS; level++)
        size += top >> shift_of(level);
    return size + (top >> shift_of(1)) / 8;
}

void exposure_init(struct exposure *exposure, u64 top, void *memory)
{
    u8 *at = memory;

    exposure->top = top;
    memset(memory, 0, exposure_size(top));
    for (u32 level = 1; level <= EXPOSURE_LEVELS; level++) {
        exposure->counts[level - 1] = at;
        at += top >> shift_of(level);
    }
    exposure->guards = (u64 *)at;
}

/* NULL: the entry lets nobody write, or not to memory. */
static u8 *counter(struct exposure *exposure, u64 entry, u32 level)
{
    u64 gpa = entry & EPT_ADDR;

    if (!(entry & EPT_WRITE) || gpa >= exposure->top)
        return NULL;
    return &exposure->counts[level - 1][gpa >> shift_of(level)];
}

static void change(u8 *count, int by)
{
    u8 old;

    if (!count)
        return;
    old = __atomic_load_n(count, __ATOMIC_RELAXED);
    while (old != FULL && !__atomic_compare_exchange_n(count, &old, (u8)(old + by), false,
                                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
}

static bool is_guarded(const struct exposure *exposure, u64 page)
{
    return __atomic_load_n(&exposure->guards[page / WORD_BITS], __ATOMIC_SEQ_CST) >>
               page % WORD_BITS &
           1;
}

bool exposure_add(struct exposure *exposure, u64 entry, u32 level)
{
    u8 *count = counter(exposure, entry, level);

    if (!count)
        return false;
    change(count, 1);
    return level == 1 ? is_guarded(exposure, (entry & EPT_ADDR) >> PAGE_SHIFT)
                      : exposure_hits_guard(exposure, entry, level);
}

void exposure_remove(struct exposure *exposure, u64 entry, u32 level)
{
    change(counter(exposure, entry, level), -1);
}

bool exposure_any(const struct exposure *exposure, u64 gpa)
{
    if (gpa >= exposure->top)
        return false;
    for (u32 level = 1; level <= EXPOSURE_LEVELS; level++)
        if (__atomic_load_n(&exposure->counts[level - 1][gpa >> shift_of(level)], __ATOMIC_SEQ_CST))
            return true;
    return false;
}

void exposure_guard(struct exposure *exposure, u64 gpa, bool guard)
{
    u64 page = gpa >> shift_of(1), bit = BIT64(page % WORD_BITS);
    u64 *word = &exposure->guards[page / WORD_BITS];

    if (guard)
        __atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
}

bool exposure_hits_guard(const struct exposure *exposure, u64 entry, u32 level)
{
    u64 first = (entry & EPT_ADDR) >> shift_of(1);
    u64 pages = BIT64(shift_of(level) - PAGE_SHIFT);

    if (!(entry & EPT_WRITE) || (entry & EPT_ADDR) >= exposure->top)
        return false;
    if (level == 1)
        return is_guarded(exposure, first);
    for (u64 i = first / WORD_BITS; i < (first + pages) / WORD_BITS; i++)
        if (__atomic_load_n(&exposure->guards[i], __ATOMIC_SEQ_CST))
            return true;
    return false;
}
