/* A lock that cores spin on; L0 runs with interrupts off, so nothing else is needed. */
#ifndef PLASTRON_HV_SPINLOCK_H
#define PLASTRON_HV_SPINLOCK_H

#include "types.h"

struct spinlock {
    u32 taken;
};

static inline void spin_lock(struct spinlock *lock)
{
    while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&lock->taken, __ATOMIC_RELAXED))
            __asm__ volatile("pause");
}

static inline void spin_unlock(struct spinlock *lock)
{
    __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

#endif
