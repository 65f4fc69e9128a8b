/* What L0 counts: exits, shadow, features. */
#include "monitor.h"
#include "say.h"
#include "../insn.h"
#include "../l0.h"
#include "../names.h"

/* ---- exits ---- */

struct sums {
    u64 tsc;
    u64 exits[2][EXIT_REASON_COUNT];
};

/* As `exits` has last shown them. */
static struct sums shown;

static u64 sum_of(u32 first, u32 end, u32 level, u32 reason)
{
    u64 sum = 0;

    for (u32 i = first; i < end; i++)
        sum += level == 1 ? cpus[i]->exits_l1[reason] : cpus[i]->exits_l2[reason];
    return sum;
}

static u64 kept_of(u32 first, u32 end, u32 reason)
{
    u64 sum = 0;

    for (u32 i = first; i < end; i++)
        sum += __atomic_load_n(&cpus[i]->observer.kept[reason], __ATOMIC_ACQUIRE);
    return sum;
}

static void say_reason(u32 first, u32 end, u32 level, u32 reason, u64 ticks)
{
    /* Of those that L0 kept each is in the count already, which goes on meanwhile. */
    u64 kept = kept_of(first, end, reason), count = sum_of(first, end, level, reason);
    u64 more = count - shown.exits[level - 1][reason];

    shown.exits[level - 1][reason] = count;
    if (!count)
        return;
    say("  L%u %-22s %12lu", level, exit_reason_name(reason), count);
    if (ticks)
        say(" %10lu/s", more * l0.boot.tsc_hz / ticks);
    if (level == 1)
        say("  L0's\n");
    else
        say("  %lu L1's, %lu L0's\n", count - kept, kept);
}

/* The counters are the cores' own, and go on: what is read is each one's latest value. */
static bool run_exits(struct cpu *none, const struct words *words)
{
    static u32 shown_first, shown_end;
    u32 first = 0, end = cpu_count;
    u64 now = rdtsc(), ticks, core;

    (void)none;
    if (words->count == 2) {
        if (!parse_number(words->word[1], &core) || core >= cpu_count)
            return false;
        first = (u32)core;
        end = first + 1;
    } else if (words->count != 1) {
        return false;
    }
    ticks = first == shown_first && end == shown_end ? now - shown.tsc : 0;
    shown.tsc = now;
    shown_first = first;
    shown_end = end;
    for (u32 level = 1; level <= 2; level++)
        for (u32 reason = 0; reason < EXIT_REASON_COUNT; reason++)
            say_reason(first, end, level, reason, ticks);
    return true;
}

const struct command command_exits = {
    .name = "exits",
    .arguments = "[CORE]",
    .summary = "exits by level and reason, their rates, and who handled them",
    .details = "Of all cores, or of one. The rate is that since the same was last asked for.\n"
               "An exit of L2 is L1's if L1 got it, L0's if L2 went on without L1.\n",
    .place = ANY_CORE,
    .run = run_exits,
};

/* ---- shadow ---- */

static bool run_shadow(struct cpu *none, const struct words *words)
{
    const struct ept02 *ept = &l0.ept02;

    (void)none;
    if (words->count != 1)
        return false;
    say("budget      %u pages of 4 KiB, %u in use\n", ept->shadow.count, ept->shadow.in_use);
    say("  given     %u to EPT01, for tables that EPT12's protection divides\n", ept->given);
    say("  lent      %u to cores, for their vmcs02s\n", ept->lent);
    say("reclaimed   %lu times a page was taken from one use for another\n", ept->reclaimed);
    say("tables      %lu mirrored so far, %lu read again, %lu of these changed, %lu protected\n",
        ept->tables, ept->reads, ept->changes, ept->protections);
    say("syncs       %lu asked for by INVEPT, %lu done\n", ept->syncs_asked, ept->syncs_done);
    say("epoch       %lu\n", l0.epoch);
    for (u32 i = 0; i < cpu_count; i++)
        say("core %u      EPT02 root %u%s, passed epoch %lu, %u vmcs02 slots\n", i,
            cpus[i]->nested.root, cpus[i]->walks_ept02 ? ", walks it" : "", cpus[i]->epoch,
            cpus[i]->nested.slot_count);
    return true;
}

const struct command command_shadow = {
    .name = "shadow",
    .arguments = "",
    .summary = "shadow page tables: budget, pages, trees, reclaim",
    .details = "docs/mmu.md says what the words mean.\n",
    .place = ANY_CORE,
    .run = run_shadow,
};

/* ---- features ---- */

static const char *const feature_names[FEATURE_COUNT] = {
#define X(id, name, word, bit) name,
    PLASTRON_FEATURES(X)
#undef X
};

enum feature_state { OFFERED, MASKED, MISSING };

static enum feature_state feature_state(u32 feature)
{
    if (caps_offer(&l0.caps, feature))
        return OFFERED;
    return l0.boot.config.mask >> feature & 1 ? MASKED : MISSING;
}

static void say_features(const char *title, enum feature_state wanted)
{
    u32 column = 0;

    say("%s:", title);
    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        if (feature_state(i) != wanted)
            continue;
        say("%s%s", column++ % 4 ? "  " : "\n  ", feature_names[i]);
    }
    say(column ? "\n" : " none\n");
}

static bool run_features(struct cpu *none, const struct words *words)
{
    (void)none;
    if (words->count != 1)
        return false;
    say("nested VMX is %s\n", l0.boot.config.nested ? "on" : "off (nested=off)");
    say_features("offered to L1", OFFERED);
    say_features("masked (mask=)", MASKED);
    say_features("missing in the processor, or needing what is", MISSING);
    return true;
}

const struct command command_features = {
    .name = "features",
    .arguments = "",
    .summary = "features of VMX: offered to L1, masked, missing",
    .details = "The names are those of mask= in plastron.conf.\n",
    .place = ANY_CORE,
    .run = run_features,
};
