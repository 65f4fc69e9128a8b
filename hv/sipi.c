/*
 * A SIPI is discarded if its target does not wait for it (SDM vol. 3, "Other Causes of VM Exits").
 * A processor waits as soon as it has got the INIT, a core of L1 only after it has been through L0.
 * Software should wait 10 ms in between, but much of it does not. So the core asks the boot core
 * what its local APIC sent last. The boot core stays in L0 until the other has taken the SIPI that
 * was sent, or waits for the one to come.
 */
#include "sipi.h"

#include "exit.h"
#include "insn.h"
#include "../drivers/lapic.h"

#define PATIENCE_TICKS BIT(20) /* of a core for another's answer */
#define ENTRY_TICKS    BIT(14) /* more than a VM entry takes */

/* The states of cpu->sipi_question. */
#define SIPI_NO_QUESTION 0u
#define SIPI_ASKED       0x100u
#define SIPI_NOT_SENT    0x200u
#define SIPI_SENT        0x300u /* with the vector */
#define SIPI_VECTOR      0xffu

bool sipi_lost(struct cpu *cpu, u8 *vector)
{
    u64 start = rdtsc();
    u32 answer;

    __atomic_store_n(&cpu->sipi_question, SIPI_ASKED, __ATOMIC_SEQ_CST);
    init_kick(cpus[0]);
    do {
        pause();
        answer = __atomic_load_n(&cpu->sipi_question, __ATOMIC_ACQUIRE);
    } while (answer == SIPI_ASKED && rdtsc() - start < PATIENCE_TICKS);
    __atomic_store_n(&cpu->sipi_question, SIPI_NO_QUESTION, __ATOMIC_RELEASE);
    *vector = answer & SIPI_VECTOR;
    return (answer & ~SIPI_VECTOR) == SIPI_SENT;
}

static u32 answer_for(const struct cpu *cpu)
{
    u32 command = lapic_last_command(cpu->apic_id);

    if ((command & LAPIC_MODE) != LAPIC_SIPI)
        return SIPI_NOT_SENT;
    return SIPI_SENT | (command & LAPIC_VECTOR);
}

/* Whether there are cores that have asked, and have not gone on yet. */
static bool answer_all(void)
{
    bool any = false;

    for (u32 i = 1; i < cpu_count; i++) {
        u32 *question = &cpus[i]->sipi_question, asked = SIPI_ASKED;

        if (!__atomic_load_n(question, __ATOMIC_ACQUIRE))
            continue;
        __atomic_compare_exchange_n(question, &asked, answer_for(cpus[i]), false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED);
        any = true;
    }
    return any;
}

void sipi_answer(void)
{
    u64 start = rdtsc(), now = start;

    if (!answer_all())
        return;
    for (; answer_all() && now - start < PATIENCE_TICKS; now = rdtsc())
        pause();
    while (rdtsc() - now < ENTRY_TICKS)
        pause();
}
