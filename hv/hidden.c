#include "hidden.h"

#include "inject.h"
#include "insn.h"
#include "l0.h"
#include "lib.h"
#include "log.h"
#include "record.h"
#include "vmcs.h"
#include "../vmx/l2.h"
#include "../vmx/vmcs02.h"

/* One EPT for instructions that read hidden memory, one for those that write it. */
static struct {
    u64 root;
    u64 hidden_table; /* a page table with the same page 512 times */
} step_read, step_write;

#define TABLE_ENTRY(pa) ((pa) | EPT_RWX)
#define ENTRIES         512

static u64 uniform_table(u64 page, u64 rights)
{
    u64 pa = pool_alloc(&l0.pool);
    u64 *table = pool_va(pa);

    if (!pa)
        return 0;
    for (u32 i = 0; i < ENTRIES; i++)
        table[i] = page | rights | MT_WB << EPT_MEMORY_TYPE_SHIFT | EPT_IGNORE_PAT;
    return pa;
}

/* Bytes that an entry of a table at this level covers. */
static u64 entry_size(u32 level) { return 1ull << (PAGE_SHIFT + 9 * (level - 1)); }

/*
 * Makes a table of a step EPT equal to EPT01's but for what is hidden, making the tables on the
 * way there that do not exist yet. 0 without memory. The hidden region is made of 2-MiB pages.
 */
static u64 sync_table(u64 ept01_table, u64 own_table, u32 level, u64 base, u64 hidden_table)
{
    const u64 *from = pool_va(ept01_table);
    u64 *to;

    if (!own_table)
        own_table = pool_alloc(&l0.pool);
    if (!own_table)
        return 0;
    to = pool_va(own_table);
    for (u32 i = 0; i < ENTRIES; i++) {
        u64 start = base + i * entry_size(level);
        u64 below;

        if (!ranges_overlap(start, entry_size(level), l0.boot.region_base, l0.boot.region_size)) {
            to[i] = from[i];
            continue;
        }
        below = level == 2 ? hidden_table
                           : sync_table(from[i] & EPT_ADDR, to[i] & EPT_ADDR, level - 1, start,
                                        hidden_table);
        if (!below)
            return 0;
        to[i] = TABLE_ENTRY(below);
    }
    return own_table;
}

static u64 sync_root(u64 root, u64 hidden_table)
{
    return sync_table(l0.ept01.root, root, l0.ept01.levels, 0, hidden_table);
}

bool hidden_init(void)
{
    const struct ept01_caps caps = {
        .physical_bits = l0.hw.physical_bits,
        .has_1g = l0.hw.ept_vpid & EPT_CAP_1G,
        .has_5_level = l0.hw.ept_vpid & EPT_CAP_5_LEVEL,
    };

    if (!ept01_build(&l0.ept01, &l0.pool, &l0.mtrr, l0.boot.ram_top, l0.boot.region_base,
                     l0.boot.region_size, &caps))
        return false;
    l0.ept01_pointer = ept01_eptp(&l0.ept01);
    step_read.hidden_table = uniform_table(l0.ones_page, EPT_READ | EPT_EXEC);
    step_write.hidden_table = uniform_table(l0.sink_page, EPT_RWX);
    if (!step_read.hidden_table || !step_write.hidden_table)
        return false;
    step_read.root = sync_root(0, step_read.hidden_table);
    step_write.root = sync_root(0, step_write.hidden_table);
    return step_read.root && step_write.root;
}

/* Reports the first access, and then each time their number has doubled. */
static void count_access(struct cpu *cpu, const char *who, u64 gpa, bool write)
{
    u64 count;

    record_hidden(cpu, gpa, write);
    count = write ? ++cpu->hidden_writes : ++cpu->hidden_reads;

    if (!(count & (count - 1)))
        log_warn("core %u: %s %s hidden memory at %#lx, %s (%lu times so far)", cpu->index, who,
                 write ? "wrote" : "read", gpa, write ? "dropped" : "all ones", count);
}

void hidden_step(struct cpu *cpu, u64 gpa, bool write)
{
    u64 root = write ? step_write.root : step_read.root;
    u64 eptp = root | (l0.ept01_pointer & ~EPT_ADDR);

    count_access(cpu, cpu->in_l2 ? "L2" : "L1", gpa, write);
    spin_lock(&l0.ept01_lock);
    __atomic_store_n(&cpu->steps_on_ept01, true, __ATOMIC_SEQ_CST);
    sync_root(root, write ? step_write.hidden_table : step_read.hidden_table);
    spin_unlock(&l0.ept01_lock);
    invept(INVEPT_SINGLE_CONTEXT, eptp);
    vmwrite(EPT_POINTER, eptp);
    set_monitor_trap(true);
    cpu->step |= STEP_HIDDEN;
}

void hidden_step_l2(struct cpu *cpu, u64 ngpa, bool write)
{
    u64 leaf = write ? l0.sink_page | EPT_RWX : l0.ones_page | EPT_READ | EPT_EXEC;
    struct nested *nested = &cpu->nested;

    count_access(cpu, "L2", ngpa, write);
    if (nested->step_count == STEP_PAGES)
        nested->step_count = 0;
    nested->step[nested->step_count++] = (struct overlay_page){
        .gpa = ngpa,
        .entry = leaf | EPT_EXEC_USER | MT_WB << EPT_MEMORY_TYPE_SHIFT | EPT_IGNORE_PAT,
    };
    set_monitor_trap(true);
    cpu->step |= STEP_HIDDEN;
}

void hidden_step_end(struct cpu *cpu)
{
    cpu->step &= ~STEP_HIDDEN;
    cpu->nested.step_count = 0;
    if (cpu->in_l2)
        vmcs02_load_ept(cpu, cpu->nested.current->vmcs12);
    else
        vmwrite(EPT_POINTER, l0.ept01_pointer);
    __atomic_store_n(&cpu->steps_on_ept01, false, __ATOMIC_RELEASE);
    memset(pool_va(l0.sink_page), 0xff, PAGE_SIZE);
    set_monitor_trap(cpu->step || (cpu->in_l2 && l2_wants_mtf(cpu)));
}
