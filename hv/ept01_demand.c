#include "ept01_demand.h"

#include "epoch.h"
#include "l0.h"
#include "../mm/ept02.h"

bool ept01_demand(u64 gpa)
{
    enum ept01_result result;

    spin_lock(&l0.ept01_lock);
    if (l0.ept01.dropped && epoch_passed_by_all(l0.ept01_dropped_at))
        ept01_reclaim(&l0.ept01);
    result = ept01_map_on_demand(&l0.ept01, gpa);
    if (result == EPT01_FLUSH) {
        l0.ept01_dropped_at = cores_new_epoch();
        epoch_passed_by_all(l0.ept01_dropped_at);
    }
    spin_unlock(&l0.ept01_lock);
    return result != EPT01_HIDDEN;
}
