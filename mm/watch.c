#include "watch.h"

#include "ept02.h"

#define PATIENCE_MAX 4

static void start(struct ept02 *ept, struct watch *watch, u64 pa)
{
    if (!watch->listed) {
        watch->listed = true;
        watch->next = ept->watches;
        ept->watches = watch;
    }
    watch->page = pa;
    watch->still = watch->protected = false;
    watch->quiet = watch->patience = 0;
}

static void protect(struct ept02 *ept, struct watch *watch)
{
    if (++watch->quiet < 1u << watch->patience)
        return;
    watch->quiet = 0;
    watch->protected = ept02_forbid_writes(ept, watch->page);
    if (watch->protected)
        watch->protected_at = cores_new_epoch();
    else if (watch->patience < PATIENCE_MAX)
        watch->patience++;
}

/* Asked before the copy is made: who has caught up cannot change the page any more. */
static void look(struct ept02 *ept, struct watch *watch, u64 pa)
{
    if (!watch->listed || watch->page != pa)
        start(ept, watch, pa);
    if (!watch->protected)
        protect(ept, watch);
    if (watch->protected && cores_caught_up(watch->protected_at))
        __atomic_store_n(&watch->still, true, __ATOMIC_RELEASE);
}

void watch_look(struct ept02 *ept, struct watch *watch, u64 pa)
{
    spin_lock(&ept->lock);
    look(ept, watch, pa);
    spin_unlock(&ept->lock);
}

void watch_written(struct watch *first, u64 pa)
{
    for (struct watch *watch = first; watch; watch = watch->next) {
        if (watch->page != pa)
            continue;
        if (watch->protected && watch->patience < PATIENCE_MAX)
            watch->patience++;
        watch->protected = false;
        watch->quiet = 0;
        __atomic_store_n(&watch->still, false, __ATOMIC_RELEASE);
    }
}
