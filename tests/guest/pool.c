// The pool, memory that the host side changes under the guest, and the modes that do: churn and
// dirty.
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "guest.h"

#define BATCH      64
#define PAGE_WORDS 512

// What a vCPU is to do with a page of the pool: all its words have the value; a writer adds one.
struct task {
    uint32_t page;
    uint32_t write;
    uint64_t value;
};

uint64_t guest_pool_pages = POOL_PAGES;
uint64_t operations = 20000;
uint8_t *pool;

// ---- the guest

static struct task guest_tasks[2][BATCH]; // the host side fills them
static volatile uint32_t guest_batch[2];  // tasks in it; 0: there are no more
static volatile uint32_t guest_finished;

static void guest_do_task(const struct task *task)
{
    volatile uint64_t *words = (volatile uint64_t *)(POOL + task->page * 4096UL);

    for (int i = 0; i < PAGE_WORDS; i++)
        GUEST_CHECK(words[i] == task->value);
    for (int i = 0; task->write && i < PAGE_WORDS; i++)
        words[i] = task->value + 1;
}

static void guest_do_tasks(uint32_t vcpu)
{
    for (;;) {
        __asm__ volatile("outl %0, %1" ::"a"(vcpu), "d"((uint16_t)PORT_BATCH) : "memory");
        if (!guest_batch[vcpu])
            break;
        for (uint32_t i = 0; i < guest_batch[vcpu]; i++)
            guest_do_task(&guest_tasks[vcpu][i]);
    }
    __atomic_fetch_add(&guest_finished, 1, __ATOMIC_SEQ_CST);
}

static void guest_churn_second(void) { guest_do_tasks(1); }

static void guest_churn(void)
{
    guest_apic_write(0xf0, 0x1ff);
    guest_start(1);
    guest_do_tasks(0);
    while (__atomic_load_n(&guest_finished, __ATOMIC_SEQ_CST) != 2)
        __asm__ volatile("pause");
    guest_print("L2: every byte was right\n");
    guest_end(NULL);
}

static void guest_dirty(void)
{
    guest_do_tasks(0);
    guest_print("L2: done\n");
    guest_end(NULL);
}

// ---- the pool

static void set_pool(uint32_t flags)
{
    struct kvm_userspace_memory_region region = {
        .slot = 1,
        .flags = flags,
        .guest_phys_addr = POOL,
        .memory_size = guest_pool_pages * 4096,
        .userspace_addr = (uint64_t)pool,
    };

    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

// Aligned to 2 MiB, for large pages.
void make_pool(void)
{
    size_t large = 2 << 20;
    uint8_t *at = mmap(NULL, guest_pool_pages * 4096 + large, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        fail("mmap of the pool: %s", strerror(errno));
    pool = (uint8_t *)(((uintptr_t)at + large - 1) & ~(large - 1));
    madvise(pool, guest_pool_pages * 4096, MADV_MERGEABLE); // a kernel may be without
    set_pool(0);
}

static uint64_t *page_at(uint32_t page) { return (uint64_t *)(pool + page * 4096UL); }

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void fill(uint32_t page, uint64_t value)
{
    for (int i = 0; i < PAGE_WORDS; i++)
        page_at(page)[i] = value;
}

// ---- churn: random changes of the guest's memory, which checks what it finds

#define LARGE_FIRST (POOL_PAGES / 2) // from here on a vCPU has 512 pages in a row, else every other
#define LARGE_PAGES 512

static struct {
    uint64_t random, done, batches;
    uint32_t count; // tasks of the last batch, which the guest has done
} churners[2] = {{.random = 88172645463325252}, {.random = 362436069362436069}};

static uint64_t contents[POOL_PAGES], batch_of[POOL_PAGES];

static uint32_t own_page(uint32_t vcpu)
{
    uint32_t page = (uint32_t)(next_random(&churners[vcpu].random) >> 16) % POOL_PAGES;

    if (page < LARGE_FIRST)
        return (page & ~1u) | vcpu;
    return (page & ~(2u * LARGE_PAGES - 1)) | vcpu * LARGE_PAGES | (page & (LARGE_PAGES - 1));
}

static void drop(uint32_t page, uint32_t pages)
{
    must(madvise(page_at(page), pages * 4096UL, MADV_DONTNEED), "MADV_DONTNEED");
    memset(&contents[page], 0, pages * sizeof(*contents));
}

// Half of the pages have one of few contents, for them to be merged.
static void rewrite(uint32_t vcpu, uint32_t page)
{
    uint64_t value = next_random(&churners[vcpu].random);

    contents[page] = value >> 32 & 1 ? value : value & 3;
    fill(page, contents[page]);
}

static void replace(uint32_t vcpu, uint32_t page)
{
    if (mmap(page_at(page), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0) == MAP_FAILED)
        fail("mmap of a page: %s", strerror(errno));
    rewrite(vcpu, page);
}

static void protect(uint32_t page)
{
    must(mprotect(page_at(page), 4096, PROT_READ), "mprotect");
    must(mprotect(page_at(page), 4096, PROT_READ | PROT_WRITE), "mprotect");
}

// Only between batches: no page of the chunk may be in one.
static void drop_large(uint32_t page)
{
    page &= ~(LARGE_PAGES - 1u);
    madvise(page_at(page), LARGE_PAGES * 4096UL, MADV_HUGEPAGE); // a kernel may be without
    drop(page, LARGE_PAGES);
}

static void change_page(uint32_t vcpu, uint32_t page)
{
    switch (next_random(&churners[vcpu].random) >> 16 & 7) {
    case 0:
    case 1: drop(page, 1); break;
    case 2:
    case 3: rewrite(vcpu, page); break;
    case 4: replace(vcpu, page); break;
    case 5: protect(page); break;
    default: break;
    }
}

// What the guest wrote is there.
static void check_batch(uint32_t vcpu, const struct task *tasks)
{
    for (uint32_t i = 0; i < churners[vcpu].count; i++) {
        uint64_t value = tasks[i].value + tasks[i].write;

        for (int word = 0; word < PAGE_WORDS; word++)
            if (page_at(tasks[i].page)[word] != value)
                fail("page %u, word %d: %#lx, not %#lx", tasks[i].page, word,
                     page_at(tasks[i].page)[word], value);
        contents[tasks[i].page] = value;
    }
}

static void change_chunk(uint32_t vcpu)
{
    uint32_t page = own_page(vcpu);

    if (page >= LARGE_FIRST)
        drop_large(page);
}

static uint32_t churn(uint32_t vcpu, struct task *tasks)
{
    uint64_t batch = ++churners[vcpu].batches;
    uint32_t count = 0;

    check_batch(vcpu, tasks);
    if (vcpu == 0 && batch % 32 == 0)
        set_pool(batch % 64 ? KVM_MEM_LOG_DIRTY_PAGES : 0);
    if (batch % 16 == 0)
        change_chunk(vcpu);
    while (count < BATCH && churners[vcpu].done < operations) {
        uint32_t page = own_page(vcpu);

        churners[vcpu].done++;
        if (batch_of[page] == batch)
            continue;
        batch_of[page] = batch;
        change_page(vcpu, page);
        tasks[count++] = (struct task){
            page, (uint32_t)(next_random(&churners[vcpu].random) >> 20 & 1), contents[page]};
    }
    churners[vcpu].count = count;
    return count;
}

// ---- dirty: KVM's log has just the pages that the guest wrote

#define DIRTY_ROUNDS 60
#define FRAME_BUFFER 24 // pages

static uint64_t written[POOL_PAGES / 64];

static void check_log(void)
{
    static uint64_t bitmap[POOL_PAGES / 64];
    struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = bitmap};

    must(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
    for (uint32_t page = 0; page < POOL_PAGES; page++) {
        uint64_t bit = 1ULL << page % 64;

        if ((bitmap[page / 64] & bit) != (written[page / 64] & bit))
            fail("page %u is %sin the log", page, bitmap[page / 64] & bit ? "" : "not ");
    }
    memset(written, 0, sizeof(written));
}

static void add_task(struct task *task, uint32_t page, uint32_t write)
{
    *task = (struct task){page, write, contents[page]};
    contents[page] += write;
    if (write)
        written[page / 64] |= 1ULL << page % 64;
}

// The same pages each time.
static uint32_t draw(struct task *tasks)
{
    for (uint32_t i = 0; i < FRAME_BUFFER; i++)
        add_task(&tasks[i], i, 1);
    return FRAME_BUFFER;
}

// Pages from all over, half of them only read.
static uint32_t migrate(struct task *tasks)
{
    static uint64_t random = 88172645463325252;

    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t page = (uint32_t)(next_random(&random) >> 16) % POOL_PAGES;

        add_task(&tasks[i], page, next_random(&random) >> 20 & 1);
    }
    return BATCH;
}

static uint32_t touch_each(uint32_t batch, struct task *tasks)
{
    for (uint32_t i = 0; i < BATCH; i++)
        add_task(&tasks[i], batch * BATCH + i, 1);
    return BATCH;
}

// First the guest writes to each page: KVM counts a page as written that it maps for a read, if the
// host could write to it.
static uint32_t log_dirty(uint32_t vcpu, struct task *tasks)
{
    static uint32_t batch;
    uint32_t round = batch - POOL_PAGES / BATCH;

    (void)vcpu;
    if (batch < POOL_PAGES / BATCH)
        return touch_each(batch++, tasks);
    if (round) {
        check_log();
    } else {
        set_pool(KVM_MEM_LOG_DIRTY_PAGES);
        memset(written, 0, sizeof(written));
    }
    if (round == DIRTY_ROUNDS)
        return 0;
    batch++;
    return round & 1 ? draw(tasks) : migrate(tasks);
}

// In pages of 4 KiB, of which the kernel makes no larger ones meanwhile.
static void make_small_pool(void)
{
    make_pool();
    madvise(pool, POOL_PAGES * 4096UL, MADV_NOHUGEPAGE); // a kernel may be without
}

// ---- the modes

void batch_exit(uint32_t vcpu)
{
    volatile uint32_t *batch;

    if (!mode->next_batch || vcpu > 1)
        fail("a batch for vCPU %u", vcpu);
    batch = in_guest(&guest_batch[vcpu]);
    *batch = mode->next_batch(vcpu, in_guest(guest_tasks[vcpu]));
}

const struct mode churn_mode = {
    .name = "churn",
    BOOT16,
    .entry = guest_churn,
    .second = guest_churn_second,
    .vcpus = 2,
    .output = "L2: every byte was right\n",
    .prepare = make_pool,
    .next_batch = churn,
};

const struct mode dirty_mode = {
    .name = "dirty",
    BOOT16,
    .entry = guest_dirty,
    .output = "L2: done\n",
    .prepare = make_small_pool,
    .next_batch = log_dirty,
};
