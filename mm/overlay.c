#include "overlay.h"

#include "lib.h"
#include "pool.h"
#include "vmx.h"

#define ENTRIES 512u

static u32 level_shift(u32 level) { return PAGE_SHIFT + 9 * (level - 1); }

static u64 *slot_of(u64 table, u64 gpa, u32 level)
{
    return (u64 *)pool_va(table) + (gpa >> level_shift(level) & (ENTRIES - 1));
}

static bool is_present(u64 entry) { return entry & (EPT_RWX | EPT_EXEC_USER); }

/* Of a table that is not a lowest one. */
static bool is_link(u64 entry) { return is_present(entry) && !(entry & EPT_LARGE); }

static bool is_own(const struct overlay *overlay, u64 table)
{
    for (u32 i = 0; i < overlay->used; i++)
        if (overlay->tables[i] == table)
            return true;
    return false;
}

static u64 next_own(struct overlay *overlay, u64 (*alloc)(void))
{
    u64 *table = &overlay->tables[overlay->used];

    if (!*table)
        *table = alloc();
    if (*table)
        overlay->used++;
    return *table;
}

/* The entries of the table that takes the place of what an entry of the level above says. */
static void fill_table(u64 to, u64 entry, u32 level)
{
    u64 *slots = pool_va(to);

    if (!is_present(entry)) {
        memset(slots, 0, PAGE_SIZE);
    } else if (is_link(entry)) {
        memcpy(slots, pool_va(entry & EPT_ADDR), PAGE_SIZE);
    } else {
        for (u32 i = 0; i < ENTRIES; i++)
            slots[i] = (entry & ~(level == 1 ? EPT_LARGE : 0)) + ((u64)i << level_shift(level));
    }
}

/* The own table of a level that the entry of an own table leads to; 0: no page. */
static u64 own_table(struct overlay *overlay, u64 *entry, u32 level, u64 (*alloc)(void))
{
    u64 table = *entry & EPT_ADDR;

    if (is_own(overlay, table))
        return table;
    table = next_own(overlay, alloc);
    if (!table)
        return 0;
    fill_table(table, *entry, level);
    *entry = table | (is_link(*entry) ? *entry & ~EPT_ADDR : EPT_RWX | EPT_EXEC_USER);
    return table;
}

static bool put(struct overlay *overlay, u64 root, u32 levels, const struct overlay_page *page,
                u64 (*alloc)(void))
{
    u64 table = root;

    for (u32 level = levels; level > 1; level--) {
        table = own_table(overlay, slot_of(table, page->gpa, level), level - 1, alloc);
        if (!table)
            return false;
    }
    *slot_of(table, page->gpa, 1) = page->entry;
    return true;
}

u64 overlay_build(struct overlay *overlay, u64 root, u32 levels, const struct overlay_page *pages,
                  u32 count, u64 (*alloc)(void))
{
    u64 own;

    overlay->used = 0;
    own = next_own(overlay, alloc);
    if (!own)
        return 0;
    memcpy(pool_va(own), pool_va(root), PAGE_SIZE);
    for (u32 i = 0; i < count; i++)
        if (!put(overlay, own, levels, &pages[i], alloc))
            return 0;
    return own;
}
