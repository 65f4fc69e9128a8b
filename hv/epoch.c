#include "epoch.h"

#include "exit.h"
#include "insn.h"
#include "l0.h"
#include "../mm/ept02.h"
#include "../vmx/vmcs02.h"

static bool has_passed(const struct cpu *cpu, u64 epoch)
{
    return __atomic_load_n(&cpu->epoch, __ATOMIC_SEQ_CST) >= epoch;
}

static bool runs(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->started, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&cpu->waits_for_sipi, __ATOMIC_ACQUIRE);
}

/* It may use what EPT01 was before the epoch. */
static bool is_behind(const struct cpu *cpu, u64 epoch)
{
    return runs(cpu) &&
           (__atomic_load_n(&cpu->steps_on_ept01, __ATOMIC_ACQUIRE) || !has_passed(cpu, epoch));
}

/* It may use what EPT02 was before the epoch: not while it runs L1, see epoch_catch_up(). */
static bool walks_behind(const struct cpu *cpu, u64 epoch)
{
    return __atomic_load_n(&cpu->walks_ept02, __ATOMIC_SEQ_CST) && !has_passed(cpu, epoch);
}

/* Whether there is no such core; one that is not `self` is made to exit. */
static bool none(bool (*is)(const struct cpu *, u64), u64 epoch, const struct cpu *self)
{
    bool found = false;

    for (u32 i = 0; i < cpu_count; i++) {
        if (!is(cpus[i], epoch))
            continue;
        found = true;
        if (cpus[i] != self)
            init_kick(cpus[i]);
    }
    return !found;
}

bool epoch_passed_by_all(u64 epoch) { return none(is_behind, epoch, this_cpu()); }

bool cores_passed(u64 epoch) { return none(walks_behind, epoch, this_cpu()); }

bool cores_caught_up(u64 epoch)
{
    const struct cpu *self = this_cpu();
    bool all = true;

    for (u32 i = 0; i < cpu_count; i++) {
        if (cpus[i] == self || !is_behind(cpus[i], epoch))
            continue;
        all = false;
        init_kick(cpus[i]);
    }
    return all;
}

u64 cores_new_epoch(void) { return __atomic_add_fetch(&l0.epoch, 1, __ATOMIC_SEQ_CST); }

bool cores_use_root(u32 root)
{
    for (u32 i = 0; i < cpu_count; i++)
        if (__atomic_load_n(&cpus[i]->nested.root, __ATOMIC_ACQUIRE) == root)
            return true;
    return false;
}

void epoch_set_walking(struct cpu *cpu, bool walks)
{
    __atomic_store_n(&cpu->walks_ept02, walks, __ATOMIC_SEQ_CST);
}

/* Copies of others' entries are made anew. */
void epoch_pass(struct cpu *cpu)
{
    u64 epoch = __atomic_load_n(&l0.epoch, __ATOMIC_SEQ_CST);

    if (cpu->in_l2)
        vmcs02_reload_ept(cpu, cpu->nested.current->vmcs12);
    invept(INVEPT_ALL_CONTEXT, 0);
    __atomic_store_n(&cpu->epoch, epoch, __ATOMIC_SEQ_CST);
}
