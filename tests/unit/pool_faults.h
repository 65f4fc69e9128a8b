/*
 * Allocations that fail when a test says so, of the shadow pages and of a page pool's: the Makefile
 * links the test with these in the place of the real ones.
 */
#ifndef PLASTRON_TESTS_POOL_FAULTS_H
#define PLASTRON_TESTS_POOL_FAULTS_H

#include "types.h"

#include "mm/pool.h"
#include "mm/shadow.h"

static u64 pool_asked, pool_failed; /* allocations so far, and those of them that failed */
static bool (*pool_fails)(void);    /* asked with pool_asked counted up; NULL: none does */

u32 __real_shadow_take(struct shadow *shadow);
u32 __wrap_shadow_take(struct shadow *shadow);
u32 __real_shadow_new(struct shadow *shadow, u64 source, u32 level, u32 role, u64 leaf);
u32 __wrap_shadow_new(struct shadow *shadow, u64 source, u32 level, u32 role, u64 leaf);
u64 __real_pool_alloc(struct pool *pool);
u64 __wrap_pool_alloc(struct pool *pool);

static inline bool fails_now(void)
{
    bool fails;

    pool_asked++;
    fails = pool_fails && pool_fails();
    pool_failed += fails;
    return fails;
}

u32 __wrap_shadow_take(struct shadow *shadow)
{
    return fails_now() ? 0 : __real_shadow_take(shadow);
}

u32 __wrap_shadow_new(struct shadow *shadow, u64 source, u32 level, u32 role, u64 leaf)
{
    return fails_now() ? 0 : __real_shadow_new(shadow, source, level, role, leaf);
}

u64 __wrap_pool_alloc(struct pool *pool) { return fails_now() ? 0 : __real_pool_alloc(pool); }

#endif
