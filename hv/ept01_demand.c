#include "ept01_demand.h"

#include "exit.h"
#include "insn.h"
#include "l0.h"
#include "../vmx/vmcs02.h"

static bool has_caught_up(const struct cpu *cpu)
{
    if (!__atomic_load_n(&cpu->started, __ATOMIC_ACQUIRE) ||
        __atomic_load_n(&cpu->waits_for_sipi, __ATOMIC_ACQUIRE))
        return true;
    return !__atomic_load_n(&cpu->steps_on_ept01, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&cpu->ept01_epoch, __ATOMIC_ACQUIRE) == l0.ept01_epoch;
}

static void kick_others(const struct cpu *self)
{
    for (u32 i = 0; i < cpu_count; i++)
        if (cpus[i] != self && !has_caught_up(cpus[i]))
            init_kick(cpus[i]);
}

static bool all_have_caught_up(void)
{
    for (u32 i = 0; i < cpu_count; i++)
        if (!has_caught_up(cpus[i]))
            return false;
    return true;
}

bool ept01_demand(struct cpu *cpu, u64 gpa)
{
    enum ept01_result result;

    spin_lock(&l0.ept01_lock);
    if (l0.ept01.dropped && all_have_caught_up())
        ept01_reclaim(&l0.ept01);
    result = ept01_map_on_demand(&l0.ept01, gpa);
    if (result == EPT01_FLUSH) {
        __atomic_add_fetch(&l0.ept01_epoch, 1, __ATOMIC_RELEASE);
        ept01_catch_up(cpu);
        kick_others(cpu);
    }
    spin_unlock(&l0.ept01_lock);
    return result != EPT01_HIDDEN;
}

void ept01_catch_up(struct cpu *cpu)
{
    u64 epoch = __atomic_load_n(&l0.ept01_epoch, __ATOMIC_ACQUIRE);

    if (__builtin_expect(cpu->ept01_epoch == epoch, 1))
        return;
    ept02_invalidate_all(&cpu->nested.ept02); /* with an INVEPT of all contexts */
    if (cpu->in_l2)
        vmcs02_load_ept(cpu, cpu->nested.current->vmcs12);
    __atomic_store_n(&cpu->ept01_epoch, epoch, __ATOMIC_RELEASE);
}
