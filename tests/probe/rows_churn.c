/*
 * Both cores' L2s on one EPT12, whose pages both cores map, move, protect and drop at random. Each
 * L2 looks at every byte of the pages that it is told of, and writes to some; L1 knows what it must
 * find, how many EPT violations it must have, and that no frame that was taken away changes.
 */
#include "ept_rows.h"

#define CORES       2u
#define CHUNKS      4u /* of EPT12: a table each */
#define CHUNK_PAGES 512u
#define PAGES       (CHUNKS * CHUNK_PAGES)
#define SPARE       256u /* frames that are nobody's */
#define FRAMES      (PAGES + SPARE)
#define WORDS       512u
#define BATCH       64u
#define MEETING     64u /* batches between two changes of whole tables */
#define PROGRESS    2048u
#define LEAK        16u /* shadow pages that may be more at the end: tables that move */

#define POISON    0xdead00000000ull
#define MAILBOXES (L2_SPARE + PAGE_SIZE)

/* What code.asm's "churn" reads. */
struct task {
    u64 page; /* guest-virtual */
    u64 value, new_value;
};

struct mailbox {
    u32 count, at, written, wrong;
    struct task tasks[BATCH];
};

_Static_assert(sizeof(struct mailbox) <= PAGE_SIZE, "a mailbox is one page");

struct page {
    u32 frame;
    u64 value;
};

/* Cores own every other page; what they share has the lock. */
static struct page pages[PAGES];
static u32 spare[SPARE], spare_count;
static bool is_large[CHUNKS];
static volatile u32 lock;

static u64 *directory, *tables, tables_moved; /* two places for each table: which of them */
static u8 *frames, *areas;                    /* of 2 MiB, where a chunk is one page */

static struct churner {
    u64 random;
    u64 wrong;          /* words, violations and frames that are not as they must be */
    u64 expected, seen; /* violations */
    u32 held;           /* a frame that L2 may reach until the INVEPT; FRAMES: none */
    bool launched;
} churners[CORES];

static volatile u32 arrived, meetings, finished;
static volatile bool failed;
static u64 shadow_before;

static u32 core_of(const struct churner *churner) { return (u32)(churner - churners); }

static u64 next_random(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static u32 random_below(struct churner *churner, u32 limit)
{
    return (u32)(next_random(&churner->random) >> 16) % limit;
}

static void take_lock(void)
{
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
        __asm__ volatile("pause");
}

static void give_lock(void) { __atomic_store_n(&lock, 0, __ATOMIC_RELEASE); }

static struct mailbox *mailbox_of(u32 core)
{
    return (struct mailbox *)guest_memory(MAILBOXES + core * PAGE_SIZE);
}

/* ---- frames */

static u64 frame_address(u32 frame) { return (u64)frames + frame * PAGE_SIZE; }

static u64 *words_of(u32 page)
{
    u32 chunk = page / CHUNK_PAGES;

    return (u64 *)(is_large[chunk] ? (u64)areas + page * PAGE_SIZE
                                   : frame_address(pages[page].frame));
}

static void fill(u64 *words, u64 value)
{
    for (u32 i = 0; i < WORDS; i++)
        words[i] = value;
}

static bool is_full_of(const u64 *words, u64 value)
{
    u64 difference = 0;

    for (u32 i = 0; i < WORDS; i++)
        difference |= words[i] ^ value;
    return !difference;
}

/* The lock is held. What was nobody's has not been written to. */
static u32 take_frame(struct churner *churner)
{
    u32 at = random_below(churner, spare_count), frame = spare[at];

    spare[at] = spare[--spare_count];
    churner->wrong += !is_full_of((u64 *)frame_address(frame), POISON + frame);
    return frame;
}

static void give_frame(u32 frame)
{
    fill((u64 *)frame_address(frame), POISON + frame);
    spare[spare_count++] = frame;
}

/* ---- EPT12; the lock is held, or nobody else is there */

static u64 *table_of(u32 chunk)
{
    return tables + (chunk * 2 + (tables_moved >> chunk & 1)) * WORDS;
}

static u64 *entry_of(u32 page) { return &table_of(page / CHUNK_PAGES)[page % CHUNK_PAGES]; }

static void link_table(u32 chunk) { directory[chunk] = (u64)table_of(chunk) | EPT_RWX; }

static void map(u32 page)
{
    *(volatile u64 *)entry_of(page) = frame_address(pages[page].frame) | EPT_LEAF;
}

/* ---- changes of a page */

static void rewrite(struct churner *churner, u32 page)
{
    pages[page].value = next_random(&churner->random);
    fill(words_of(page), pages[page].value);
}

/* Its frame is another one, with other words. */
static void move(struct churner *churner, u32 page, bool mapped)
{
    churner->held = pages[page].frame;
    pages[page].frame = take_frame(churner);
    rewrite(churner, page);
    if (mapped)
        map(page);
    else
        *(volatile u64 *)entry_of(page) = 0;
}

/* Changes the page; how many EPT violations an access has then. */
static u32 change(struct churner *churner, u32 page, bool write)
{
    volatile u64 *entry = entry_of(page);

    if (is_large[page / CHUNK_PAGES]) {
        if (random_below(churner, 4) == 0)
            rewrite(churner, page);
        return 0;
    }
    switch (random_below(churner, 8)) {
    case 0:
    case 1: *entry = 0; break;
    case 2:
    case 3:
        if (churner->held == FRAMES)
            move(churner, page, random_below(churner, 2));
        break;
    case 4: *entry &= ~(u64)EPT_WRITE; break;
    case 5: rewrite(churner, page); break;
    default: break;
    }
    return !*entry || (write && !(*entry & EPT_WRITE));
}

/* ---- a batch */

static u32 own_page(struct churner *churner)
{
    return (random_below(churner, PAGES) & ~1u) | core_of(churner);
}

static bool is_in(const struct mailbox *mailbox, u32 page)
{
    for (u32 i = 0; i < mailbox->count; i++)
        if (mailbox->tasks[i].page == EPT_GIB + page * PAGE_SIZE)
            return true;
    return false;
}

static void prepare(struct churner *churner, struct mailbox *mailbox)
{
    mailbox->count = mailbox->at = mailbox->written = 0;
    churner->held = FRAMES;
    take_lock();
    while (mailbox->count < BATCH) {
        u32 page = own_page(churner);
        bool write = random_below(churner, 2);

        if (is_in(mailbox, page))
            continue;
        churner->expected += change(churner, page, write);
        mailbox->tasks[mailbox->count++] =
            (struct task){EPT_GIB + page * PAGE_SIZE, pages[page].value, pages[page].value + write};
        pages[page].value += write;
    }
    give_lock();
    flush_ept();
    take_lock();
    if (churner->held != FRAMES)
        give_frame(churner->held);
    give_lock();
}

/* What L2 lacks it gets: its own core's page, and all rights. */
static void mend(struct churner *churner)
{
    u64 ngpa = vm_read(GUEST_PHYSICAL_ADDRESS);
    u32 page = (u32)((ngpa - EPT_GIB) / PAGE_SIZE);

    churner->seen++;
    if (ngpa < EPT_GIB || page >= PAGES || page % CORES != core_of(churner) ||
        is_large[page / CHUNK_PAGES] || (*(volatile u64 *)entry_of(page) & EPT_RWX) == EPT_RWX) {
        churner->wrong++;
        return;
    }
    take_lock();
    map(page);
    give_lock();
}

/* False: L2 has ended otherwise. */
static bool run_batch(struct churner *churner)
{
    u64 mailbox = MAILBOXES + core_of(churner) * PAGE_SIZE;

    for (;;) {
        vm_write(GUEST_RIP, guest_entry);
        if (guest_enter(!churner->launched, mailbox))
            return false;
        churner->launched = true;
        if (vm_read(VM_EXIT_REASON) == EXIT_REASON_VMCALL)
            return true;
        if (vm_read(VM_EXIT_REASON) != EXIT_REASON_EPT_VIOLATION)
            return false;
        mend(churner);
    }
}

static void check(struct churner *churner, const struct mailbox *mailbox)
{
    churner->wrong += mailbox->wrong + (mailbox->at != mailbox->count);
    churner->wrong += churner->expected != churner->seen;
    for (u32 i = 0; i < mailbox->count; i++) {
        u32 page = (u32)((mailbox->tasks[i].page - EPT_GIB) / PAGE_SIZE);

        churner->wrong += !is_full_of(words_of(page), pages[page].value);
    }
}

/* ---- changes of tables, while no L2 runs */

static void move_table(u32 chunk)
{
    const u64 *old = table_of(chunk);

    tables_moved ^= BIT64(chunk);
    memcpy(table_of(chunk), old, PAGE_SIZE);
    memset((void *)old, 0, PAGE_SIZE);
    link_table(chunk);
}

static void copy_chunk(u32 chunk, bool to_area)
{
    for (u32 i = chunk * CHUNK_PAGES; i < (chunk + 1) * CHUNK_PAGES; i++) {
        u64 *area = (u64 *)(areas + i * PAGE_SIZE), *frame = (u64 *)frame_address(pages[i].frame);

        memcpy(to_area ? area : frame, to_area ? frame : area, PAGE_SIZE);
        if (!to_area)
            map(i);
    }
}

static void make_large(u32 chunk)
{
    copy_chunk(chunk, true);
    is_large[chunk] = true;
    directory[chunk] = ((u64)areas + chunk * SIZE_2M) | EPT_LEAF | EPT_LARGE;
}

static void make_small(u32 chunk)
{
    copy_chunk(chunk, false);
    is_large[chunk] = false;
    link_table(chunk);
}

static void change_tables(struct churner *churner)
{
    u32 chunk = random_below(churner, CHUNKS);

    if (is_large[chunk])
        make_small(chunk);
    else if ((ept_vpid_cap & EPT_CAP_2M) && random_below(churner, 2))
        make_large(chunk);
    else
        move_table(chunk);
}

/* Both cores come here; the last changes tables, and each invalidates before its next entry. */
static void meet(struct churner *churner)
{
    u32 meeting = meetings;

    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST) == CORES) {
        change_tables(churner);
        arrived = 0;
        __atomic_add_fetch(&meetings, 1, __ATOMIC_SEQ_CST);
    }
    while (meetings == meeting && !failed)
        __asm__ volatile("pause");
}

static void report(u64 batch)
{
    say("%lu operations, wrong %lu", batch * BATCH * CORES, churners[0].wrong + churners[1].wrong);
    line_print("progress ", row_name);
    line_clear();
}

static void churn(struct churner *churner)
{
    struct mailbox *mailbox = mailbox_of(core_of(churner));

    u64 batches = config.churn / CORES / BATCH;

    for (u64 batch = 1; batch <= batches && !failed; batch++) {
        prepare(churner, mailbox);
        if (!run_batch(churner))
            failed = true;
        check(churner, mailbox);
        if (batch % MEETING == 0)
            meet(churner);
        if (batch == batches / 2)
            shadow_before = shadow_in_use();
        if (churner == churners && batch % PROGRESS == 0)
            report(batch);
    }
}

/* ---- the row */

static void other_churn(void)
{
    vm_on(arena_address(PAGE_OTHER_VMXON));
    vm_load(arena_address(PAGE_OTHER_VMCS));
    other_set_host();
    churn(&churners[1]);
    vm_clear(arena_address(PAGE_OTHER_VMCS));
    __asm__ volatile("vmxoff" ::: "cc");
    __atomic_store_n(&finished, 1, __ATOMIC_SEQ_CST);
}

static void make_vmcs(u64 vmcs)
{
    *(u32 *)vmcs = (u32)(vmx_basic & VMX_BASIC_REVISION);
    vm_clear(vmcs);
    vm_load(vmcs);
    guest_setup(GUEST_64, WITH_EPT | WITH_VPID);
    guest_code("churn");
    ept_gib((u64)directory | EPT_RWX);
}

static void take_memory(void)
{
    u8 *at = (u8 *)align_up(free_base, SIZE_2M);

    areas = at;
    at += CHUNKS * SIZE_2M;
    directory = (u64 *)at;
    tables = directory + WORDS;
    frames = (u8 *)(tables + 2 * CHUNKS * WORDS);
    memset(directory, 0, PAGE_SIZE);
    memset(tables, 0, 2 * CHUNKS * PAGE_SIZE);
}

static void map_all(void)
{
    tables_moved = 0;
    spare_count = 0;
    for (u32 i = 0; i < PAGES; i++) {
        pages[i] = (struct page){.frame = i, .value = i};
        fill((u64 *)frame_address(i), i);
        map(i);
    }
    for (u32 i = PAGES; i < FRAMES - CORES; i++)
        give_frame(i);
    for (u32 i = 0; i < CHUNKS; i++) {
        is_large[i] = false;
        link_table(i);
    }
}

void rows_churn(void)
{
    const u64 needed = (CHUNKS + 1) * SIZE_2M + (FRAMES + 16) * PAGE_SIZE;

    if (!row(STATE_VMCS, "race.churn") || !row_needs(FEATURE_EPT))
        return;
    if (free_size < needed) {
        row_skip("memory");
        return;
    }
    *(u32 *)arena_page(PAGE_OTHER_VMXON) = (u32)(vmx_basic & VMX_BASIC_REVISION);
    take_memory();
    map_all();
    make_vmcs(arena_address(PAGE_OTHER_VMCS));
    vm_clear(arena_address(PAGE_OTHER_VMCS));
    make_vmcs(arena_address(PAGE_VMCS));
    for (u32 i = 0; i < CORES; i++)
        churners[i] = (struct churner){.random = 88172645463325252ull * (config.seed + i)};
    arrived = finished = 0;
    failed = false;
    other_do(other_churn);
    churn(&churners[0]);
    while (!finished)
        __asm__ volatile("pause");
    other_wait();
    say("wrong %lu and %lu", churners[0].wrong, churners[1].wrong);
    if (failed)
        say(", L2 ENDED");
    if (shadow_in_use() > shadow_before + LEAK)
        say(", SHADOW PAGES LEAKED: %lu, then %lu", shadow_before, shadow_in_use());
    row_end();
}
