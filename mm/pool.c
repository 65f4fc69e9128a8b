/*
 * The page pool. Pages never used are a range, so that a pool of any size starts up at once;
 * freed pages are a list through their own first 8 bytes.
 */
#include "pool.h"

#include "lib.h"

void pool_init(struct pool *pool, u64 start_pa, u64 end_pa)
{
    u64 start = align_up(start_pa, PAGE_SIZE);
    u64 end = align_down(end_pa, PAGE_SIZE);

    if (start == 0) /* address 0 says "empty" */
        start = PAGE_SIZE;
    if (end < start)
        end = start;
    pool->start = start;
    pool->end = end;
    pool->untouched = start;
    pool->freed = 0;
    pool->total_pages = (end - start) / PAGE_SIZE;
    pool->free_pages = pool->total_pages;
}

u64 pool_alloc(struct pool *pool)
{
    u64 pa = pool->freed;

    if (pa == 0)
        return pool_alloc_contiguous(pool, 1);
    memcpy(&pool->freed, pool_va(pa), sizeof(pool->freed));
    pool->free_pages--;
    memset(pool_va(pa), 0, PAGE_SIZE);
    return pa;
}

u64 pool_alloc_contiguous(struct pool *pool, u64 pages)
{
    u64 pa = pool->untouched;

    if (pages == 0 || pages > (pool->end - pool->untouched) / PAGE_SIZE)
        return 0;
    pool->untouched += pages * PAGE_SIZE;
    pool->free_pages -= pages;
    memset(pool_va(pa), 0, pages * PAGE_SIZE);
    return pa;
}

bool pool_free(struct pool *pool, u64 pa)
{
    if (pa < pool->start || pa >= pool->untouched || pa % PAGE_SIZE != 0)
        return false;
    memcpy(pool_va(pa), &pool->freed, sizeof(pool->freed));
    pool->freed = pa;
    pool->free_pages++;
    return true;
}
