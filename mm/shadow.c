#include "shadow.h"

#include "lib.h"
#include "pool.h"

void shadow_init(struct shadow *shadow, u64 start, u64 end)
{
    u64 size = end - start, buckets = 1;
    u64 each = PAGE_SIZE + sizeof(struct shadow_page) + 2 * sizeof(u32);

    memset(shadow, 0, sizeof(*shadow));
    shadow->count = (u32)((size - PAGE_SIZE) / each) - 1;
    while (2 * buckets <= shadow->count)
        buckets *= 2;
    shadow->bucket_mask = (u32)buckets - 1;
    shadow->base = align_down(end, PAGE_SIZE) - shadow->count * PAGE_SIZE;
    shadow->untouched = 1;
    shadow->pages = pool_va(start);
    shadow->buckets = (u32 *)(shadow->pages + shadow->count + 1);
    memset(shadow->buckets, 0, buckets * sizeof(u32));
}

/* ---- by source ---- */

static u32 *bucket(const struct shadow *shadow, u64 source)
{
    u64 hash = (source >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull;

    return &shadow->buckets[hash >> 40 & shadow->bucket_mask];
}

static u32 matching(const struct shadow *shadow, u32 index, u64 source)
{
    while (index && shadow->pages[index].source != source)
        index = shadow->pages[index].next;
    return index;
}

u32 shadow_first(const struct shadow *shadow, u64 source)
{
    return matching(shadow, *bucket(shadow, source), source);
}

u32 shadow_next(const struct shadow *shadow, u32 index, u64 source)
{
    return matching(shadow, shadow->pages[index].next, source);
}

u32 shadow_find(const struct shadow *shadow, u64 source, u32 level, u32 role, u64 leaf)
{
    u32 index = shadow_first(shadow, source);

    while (index) {
        const struct shadow_page *page = &shadow->pages[index];

        if (page->level == level && page->role == role && page->leaf == leaf)
            break;
        index = shadow_next(shadow, index, source);
    }
    return index;
}

static void forget(struct shadow *shadow, u32 index)
{
    u32 *link = bucket(shadow, shadow->pages[index].source);

    while (*link != index)
        link = &shadow->pages[*link].next;
    *link = shadow->pages[index].next;
}

/* ---- use and reuse ---- */

u32 shadow_take(struct shadow *shadow)
{
    u32 index = shadow->free;

    if (index)
        shadow->free = shadow->pages[index].next;
    else if (shadow->untouched <= shadow->count)
        index = shadow->untouched++;
    else
        return 0;
    shadow->in_use++;
    memset(&shadow->pages[index], 0, sizeof(shadow->pages[index]));
    memset(shadow_table(shadow, index), 0, PAGE_SIZE);
    return index;
}

static void put_free(struct shadow *shadow, u32 index)
{
    shadow->pages[index].next = shadow->free;
    shadow->free = index;
}

void shadow_give(struct shadow *shadow, u32 index)
{
    put_free(shadow, index);
    shadow->in_use--;
}

u32 shadow_new(struct shadow *shadow, u64 source, u32 level, u32 role, u64 leaf)
{
    u32 index = shadow_take(shadow);
    struct shadow_page *page = &shadow->pages[index];

    if (!index)
        return 0;
    page->source = source;
    page->level = (u8)level;
    page->role = (u8)role;
    page->leaf = leaf;
    page->used = true;
    page->next = *bucket(shadow, source);
    *bucket(shadow, source) = index;
    return index;
}

void shadow_retire(struct shadow *shadow, u32 index)
{
    shadow_set_stale(shadow, index, false);
    forget(shadow, index);
    shadow->pages[index].next = shadow->unlinked;
    shadow->unlinked = index;
    shadow->pages[index].retired = true;
    shadow->in_use--;
}

void shadow_start_waiting(struct shadow *shadow, u64 epoch)
{
    shadow->waiting = shadow->unlinked;
    shadow->waiting_epoch = epoch;
    shadow->unlinked = 0;
}

void shadow_free_waiting(struct shadow *shadow)
{
    while (shadow->waiting) {
        u32 index = shadow->waiting;

        shadow->waiting = shadow->pages[index].next;
        put_free(shadow, index);
    }
}

/* ---- pages to be read again ---- */

void shadow_set_stale(struct shadow *shadow, u32 index, bool stale)
{
    struct shadow_page *page = &shadow->pages[index];

    if (page->stale == stale)
        return;
    page->stale = stale;
    if (stale) {
        page->stale_prev = 0;
        page->stale_next = shadow->stale;
        if (shadow->stale)
            shadow->pages[shadow->stale].stale_prev = index;
        shadow->stale = index;
        return;
    }
    if (page->stale_next)
        shadow->pages[page->stale_next].stale_prev = page->stale_prev;
    if (page->stale_prev)
        shadow->pages[page->stale_prev].stale_next = page->stale_next;
    else
        shadow->stale = page->stale_next;
}
