/*
 * The monitor's commands ept, translate and mem: what they say of a core whose L1 runs or whose L2
 * does, and that they leave everything as it was, the current VMCS included.
 */
#include "ept02_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "hv/format.h"
#include "hv/l0.h"
#include "hv/monitor/guest_commands.h"
#include "hv/monitor/say.h"
#include "vmx/direct.h"
#include "vmx/vmcs02.h"

extern const struct command command_ept, command_translate, command_mem;

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

/* ---- The monitor's other parts ---- */

static char said[32768];
static size_t said_len;

void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    said_len += format_string_v(said + said_len, sizeof(said) - said_len, format, args);
    va_end(args);
    assert_true(said_len < sizeof(said));
}

bool parse_number(const char *text, u64 *number)
{
    char *end;

    *number = strtoull(text, &end, text[0] == '0' && text[1] == 'x' ? 16 : 10);
    return *text >= '0' && *text <= '9' && !*end;
}

const char *const level_choices[] = {"l1", "l2", NULL};

u32 level_of(const char *word) { return !strcmp(word, "l1") ? 1 : !strcmp(word, "l2") ? 2 : 0; }

bool demand_guest(const struct cpu *cpu, u32 level)
{
    if (guest_exists(cpu, level))
        return true;
    say("no L2\n");
    return false;
}

bool text_equal(const char *a, const char *b) { return !strcmp(a, b); }

/* ---- The processor's VMCSs ---- */

#define VMCS01 (DATA + 0x800000)
#define VMCS02 (DATA + 0x801000)

static u64 parked[2][ARRAY_SIZE(fake_vmcs)];
static u32 loaded; /* 0: vmcs01 */

void vmcs_switch(u64 pa)
{
    assert_true(pa == VMCS01 || pa == VMCS02);
    memcpy(parked[loaded], fake_vmcs, sizeof(fake_vmcs));
    loaded = pa == VMCS02;
    memcpy(fake_vmcs, parked[loaded], sizeof(fake_vmcs));
}

bool fake_rdmsr(u32 msr, u64 *value)
{
    (void)msr, (void)value;
    return false;
}

bool fake_wrmsr(u32 msr, u64 value)
{
    (void)msr, (void)value;
    return false;
}

bool fake_vmclear(u64 pa)
{
    (void)pa;
    return true;
}

bool fake_vmptrld(u64 pa)
{
    vmcs_switch(pa);
    return true;
}

u64 fake_vmptrst(void) { return loaded ? VMCS02 : VMCS01; }

/* ---- A core ---- */

#define GPA(n)    (0x100000ull + (n)*PAGE_SIZE) /* L2-physical pages; EPT12 has them at */
#define HOME(n)   (DATA + 0x300000 + (n)*PAGE_SIZE)
#define L1_CR3    (DATA + 0x400000)
#define L1_LINEAR 0xffff888000001000ull
#define L2_LINEAR 0x7f1234567000ull
#define TABLE     (PTE_P | PTE_W | PTE_U | PTE_A)

static struct cpu core;
static struct vmcs02_area area;

static void map_linear(u64 root, u64 linear, u64 leaf, u64 table_flags, u64 (*where)(u64 address))
{
    u64 table = root;

    for (u32 level = 4; level > 1; level--) {
        u64 next = root + (5 - level) * PAGE_SIZE;

        fake_put64(where(slot(table, linear, level)), next | table_flags);
        table = next;
    }
    fake_put64(where(slot(table, linear, 1)), leaf);
}

static u64 same(u64 address) { return address; }
static u64 home(u64 address) { return address - GPA(0) + HOME(0); }

static void set_state(u64 cr3)
{
    vmwrite(GUEST_CR0, CR0_PE | CR0_PG | CR0_WP);
    vmwrite(GUEST_CR3, cr3);
    vmwrite(GUEST_CR4, CR4_PAE);
    vmwrite(GUEST_IA32_EFER, EFER_LMA | EFER_LME | EFER_NXE);
}

static void start_l0(void)
{
    l0 = (struct l0){.boot = {.region_base = HIDDEN,
                              .region_size = HIDDEN_SIZE,
                              .low_ram_top = FAKE_PHYS_SIZE,
                              .ram_top = 5 * SIZE_1G}};
    l0.hw.physical_bits = BITS;
    l0.has_1g = true;
    l0.caps = (struct vmx_caps){.offered = ~(feature_set)0,
                                .physical_bits = BITS,
                                .ept_vpid = EPT_CAP_4_LEVEL | EPT_CAP_WB | EPT_CAP_AD};
    l0.ept01_pointer = ept01_eptp(&ept01);
    direct_init();
}

/* EPT12: pages 0 to 15 at HOME, and others that differ. */
static void build_ept12(void)
{
    next_table = TABLES12 + PAGE_SIZE;
    for (u32 i = 0; i < 16; i++)
        map12(TABLES12, GPA(i), 1, HOME(i) | EPT_RWX | WB | USED);
    map12(TABLES12, GPA(16), 1, HOME(16) | EPT_READ | EPT_EXEC | WB | EPT_SUPPRESS_VE);
    map12(TABLES12, GPA(17), 1, HIDDEN | EPT_RWX | WB);
    map12(TABLES12, GPA(18), 1, HOME(18) | EPT_WRITE | WB);
    map12(TABLES12, GPA(19), 1, (FAKE_PHYS_SIZE + 0x1000) | EPT_RWX | WB);
}

static void enter(void)
{
    vmcs_switch(VMCS02);
    core.in_l2 = true;
}

static int begin(void **state)
{
    setup(state);
    start_l0();
    build_ept12();
    memset(parked, 0, sizeof(parked));
    memset(fake_vmcs, 0, sizeof(fake_vmcs));
    loaded = 0;
    area = (struct vmcs02_area){.slot = {.vmcs12 = &area.vmcs12, .pa = VMCS02, .host = &area.host}};
    core = (struct cpu){.index = 3, .vmcs01_pa = VMCS01};
    core.nested = (struct nested){.vmxon = true, .current = &area.slot};
    area.vmcs12 = (struct vmcs12){
        .cpu_based_vm_exec_control = CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
        .secondary_vm_exec_control = SECONDARY_EXEC_ENABLE_EPT,
        .ept_pointer = EPTP(TABLES12),
        .vm_entry_controls = VM_ENTRY_IA32E_MODE,
    };
    set_state(L1_CR3);
    map_linear(L1_CR3, L1_LINEAR, DATA | PTE_P | PTE_W | PTE_A | PTE_D | PTE_G | PTE_NX,
               TABLE & ~PTE_U, same);
    vmcs_switch(VMCS02);
    set_state(GPA(0));
    map_linear(GPA(0), L2_LINEAR, GPA(5) | PTE_P | PTE_U, TABLE, home);
    vmcs_switch(VMCS01);
    enter_l2(0, EPTP(TABLES12));
    return 0;
}

/* As the core has used it. */
static void publish(void)
{
    l0.ept01 = ept01;
    l0.ept02 = ept;
    core.nested.root = cores[0].root;
    core.nested.root_key = cores[0].key;
}

static u64 sum_over(u64 pa, u64 size)
{
    u64 sum = 0;

    for (u64 at = pa; at < pa + size; at += 8)
        sum = (sum ^ fake_get64(at)) * 0x9e3779b97f4a7c15ull;
    return sum;
}

/* Of all tables and VMCSs. */
static u64 sum_of_all(void)
{
    u64 sum = sum_over(TABLES12, 0x20000) ^ sum_over(HOME(0), 0x20000) ^ sum_over(L1_CR3, 0x8000) ^
              sum_over(HIDDEN, 2 * SIZE_2M) ^ loaded;

    for (u32 i = 0; i < ARRAY_SIZE(fake_vmcs); i++)
        sum = (sum ^ fake_vmcs[i] ^ parked[!loaded][i]) * 0x9e3779b97f4a7c15ull;
    return sum;
}

static bool run(const struct command *command, const char *line)
{
    struct words words = {.word = {"", "", "", "", "", "", "", ""}};
    static char copy[100];
    u64 before;
    bool done;

    publish();
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        words.word[words.count++] = word;
    said[said_len = 0] = 0;
    before = sum_of_all();
    fake_sets = 0;
    done = command->run(&core, &words);
    assert_int_equal(fake_sets, 0);
    assert_int_equal(sum_of_all(), before);
    return done;
}

#define SAYS(command, line, text)                                                                  \
    do {                                                                                           \
        assert_true(run(&(command), line));                                                        \
        assert_string_equal(said, text);                                                           \
    } while (0)

static void assert_says_part(const struct command *command, const char *line, const char *part)
{
    assert_true(run(command, line));
    if (!strstr(said, part))
        fail_msg("%s: no \"%s\" in:\n%s", line, part, said);
}

#define SAYS_PART(command, line, part) assert_says_part(&(command), line, part)

/* ---- ept ---- */

#define UPPER12                                                                                    \
    "EPT12\n"                                                                                      \
    "  4  0x000001000000  0x0000000001001407  table rwx\n"                                         \
    "  3  0x000001001000  0x0000000001002407  table rwx\n"                                         \
    "  2  0x000001002000  0x0000000001003407  table rwx\n"
#define UPPER02                                                                                    \
    "EPT02\n"                                                                                      \
    "  4  0x000004255000  0x0000000004256007  table rwx\n"                                         \
    "  3  0x000004256000  0x0000000004257007  table rwx\n"                                         \
    "  2  0x000004257000  0x0000000004258007  table rwx\n"
#define UPPER01                                                                                    \
    "EPT01\n"                                                                                      \
    "  4  0x000004004000  0x0000000004005007  table rwx\n"                                         \
    "  3  0x000004005000  0x0000000004006007  table rwx\n"
#define ALL_ACCESSES(outcome) "read: " outcome "\nwrite: " outcome "\nfetch: " outcome "\n"
#define HIDDEN_SAYS           "hidden memory: reads as ones, writes are dropped"

static void ept_shows_an_address_of_l2_in_all_three(void **state)
{
    (void)state;
    SAYS(command_ept, "ept 0x105123",
         UPPER12 "  1  0x000001003828  0x0000000002305337  page 4K WB rwx A D\n"
                 "L1-physical 0x2305123  rwx\n"
                 "EPT02\n"
                 "  4  0x000004255000  0x0000000000000000  not present\n" UPPER01
                 "  2  0x000004006088  0x00000000022000b7  page 2M WB rwx\n" ALL_ACCESSES(
                     "EPT02 not filled yet: L0 fills it"));
    touch(0, GPA(5), EPT_READ);
    SAYS(command_ept, "ept 0x105123",
         UPPER12
         "  1  0x000001003828  0x0000000002305337  page 4K WB rwx A D\n"
         "L1-physical 0x2305123  rwx\n" UPPER02
         "  1  0x000004258828  0x0000000002305037  page 4K WB rwx\n" UPPER01
         "  2  0x000004006088  0x00000000022000b7  page 2M WB rwx\n" ALL_ACCESSES("allowed"));
}

static void ept_says_what_ept12_forbids(void **state)
{
    (void)state;
    touch(0, GPA(5), EPT_READ);
    SAYS(command_ept, "ept 0x110000",
         UPPER12 "  1  0x000001003880  0x8000000002310035  page 4K WB r-x suppress-#VE\n"
                 "L1-physical 0x2310000  r-x\n" UPPER02
                 "  1  0x000004258880  0x0000000000000000  not present\n" UPPER01
                 "  2  0x000004006088  0x00000000022000b7  page 2M WB rwx\n"
                 "read: EPT02 not filled yet: L0 fills it\n"
                 "write: EPT violation for L1\n"
                 "fetch: EPT02 not filled yet: L0 fills it\n");
    SAYS(command_ept, "ept 0x112000 l2",
         UPPER12
         "  1  0x000001003890  0x0000000002312032  misconfigured: write without read\n" UPPER02
         "  1  0x000004258890  0x0000000000000000  not present\n" ALL_ACCESSES(
             "EPT misconfiguration for L1"));
    SAYS_PART(command_ept, "ept 0x312000", ALL_ACCESSES("EPT violation for L1"));
    SAYS(command_ept, "ept 0x1000000000000",
         "EPT12\n  the tables are not for that address\n"
         "EPT02\n  the tables are not for that address\n" ALL_ACCESSES("EPT violation for L1"));
}

static void ept_knows_of_virtualization_exceptions(void **state)
{
    (void)state;
    area.vmcs12.secondary_vm_exec_control |= SECONDARY_EXEC_EPT_VIOLATION_VE;
    SAYS_PART(command_ept, "ept 0x312000", "read: #VE in L2, or EPT violation for L1\n");
    SAYS_PART(command_ept, "ept 0x110000", "write: EPT violation for L1\n");
    SAYS_PART(command_ept, "ept 0x112000", "read: EPT misconfiguration for L1\n");
}

static void ept_knows_of_mode_based_execute_control(void **state)
{
    (void)state;
    SAYS_PART(command_ept, "ept 0x105123", "fetch: EPT02 not filled yet: L0 fills it\n");
    assert_null(strstr(said, "user fetch"));
    area.vmcs12.secondary_vm_exec_control |= SECONDARY_EXEC_MODE_BASED_EPT_EXEC;
    SAYS_PART(command_ept, "ept 0x105123",
              "EPT02: none on this core for that EPTP, until the next VM entry\n");
    SAYS_PART(command_ept, "ept 0x105123", "user fetch: EPT violation for L1\n");
    map12(TABLES12, GPA(20), 1, HOME(20) | EPT_READ | EPT_EXEC_USER | WB);
    SAYS_PART(command_ept, "ept 0x114000", "page 4K WB r--u\nL1-physical 0x2314000  r--u\n");
    SAYS_PART(command_ept, "ept 0x114000",
              "fetch: EPT violation for L1\nuser fetch: EPT02 not filled yet: L0 fills it\n");
}

/* With these of EPT12 the first write comes to L0. */
static void ept_says_that_a_write_sets_the_dirty_flag(void **state)
{
    (void)state;
    area.vmcs12.ept_pointer |= EPTP_AD;
    enter_l2(0, EPTP(TABLES12) | EPTP_AD);
    map12(TABLES12, GPA(5), 1, HOME(5) | EPT_RWX | WB | EPT_ACCESSED);
    assert_int_equal(touch(0, GPA(5), EPT_READ), ALLOWED);
    SAYS_PART(command_ept, "ept 0x105000",
              "read: allowed\nwrite: EPT02 not filled yet: L0 fills it\nfetch: allowed\n");
}

static void ept_says_what_is_hidden(void **state)
{
    (void)state;
    SAYS_PART(command_ept, "ept 0x111000",
              "  1  0x000001003888  0x0000000004000037  page 4K WB rwx\n"
              "L1-physical 0x4000000  rwx\n");
    SAYS_PART(command_ept, "ept 0x111000",
              "  2  0x000004006100  0x0000000000000000  not present\n" ALL_ACCESSES(HIDDEN_SAYS));
    area.vmcs12.ept_pointer = EPTP(HIDDEN);
    SAYS(command_ept, "ept 0x123000",
         "EPT12\n  4  0x000004000000  0xffffffffffffffff  reserved bits set, in hidden memory\n"
         "EPT02: none on this core for that EPTP, until the next VM entry\n" ALL_ACCESSES(
             "EPT misconfiguration for L1"));
}

/* What EPT02 has stays good until L1's INVEPT. */
static void ept_says_that_ept12_has_changed(void **state)
{
    (void)state;
    touch(0, GPA(5), EPT_READ);
    map12(TABLES12, GPA(5), 1, 0);
    SAYS_PART(command_ept, "ept 0x105000",
              "read: allowed, as EPT12 was before L1 changed it without INVEPT\n");
    map12(TABLES12, GPA(5), 1, HOME(6) | EPT_READ | WB);
    SAYS_PART(command_ept, "ept 0x105000",
              "read: allowed, as EPT12 was before L1 changed it without INVEPT\n");
    map12(TABLES12, GPA(5), 1, HOME(5) | EPT_READ | WB);
    SAYS_PART(command_ept, "ept 0x105000", "read: allowed\nwrite: allowed, as EPT12 was");
}

static void ept_says_that_an_entry_would_fail(void **state)
{
    (void)state;
    area.vmcs12.ept_pointer |= EPTP_WALK_LENGTH;
    SAYS_PART(command_ept, "ept 0x105000",
              "a VM entry would fail: EPTP 0x100003e is not valid\nEPT12\n"
              "  the tables are not for that address\n");
}

static void ept_of_l1_is_ept01(void **state)
{
    (void)state;
    SAYS(command_ept, "ept 0x105000 l1",
         UPPER01
         "  2  0x000004006000  0x00000000000000b7  page 2M WB rwx\n" ALL_ACCESSES("allowed"));
    SAYS_PART(command_ept, "ept 0x4000000 l1", ALL_ACCESSES(HIDDEN_SAYS));
    SAYS_PART(command_ept, "ept 0xffff105000 l1",
              ALL_ACCESSES("EPT01 not filled yet: L0 fills it"));
    SAYS_PART(command_ept, "ept 0xffffff105000 l1", ALL_ACCESSES(HIDDEN_SAYS));
    SAYS_PART(command_ept, "ept 0xffffffffffffffff l1",
              "  the tables are not for that address\n" ALL_ACCESSES(HIDDEN_SAYS));
    assert_true(ept01_split(&ept01, DATA, pool_alloc(&ept01_pool)));
    assert_true(ept01_set_writable(&ept01, DATA, false));
    SAYS_PART(command_ept, "ept 0x2000000 l1",
              "page 4K WB r-x\nread: allowed\n"
              "write: write-protected: L0 allows it\n"
              "fetch: allowed\n");
}

static void ept_without_ept12_is_ept01(void **state)
{
    (void)state;
    area.vmcs12.secondary_vm_exec_control = 0;
    assert_true(run(&command_ept, "ept 0x105000"));
    assert_memory_equal(said, "EPT01\n", 6);
    SAYS_PART(command_ept, "ept 0x105000 l2",
              "L2 has no EPT: its physical addresses are L1's\nEPT01\n");
    core.nested.current = NULL;
    assert_true(run(&command_ept, "ept 0x105000"));
    assert_memory_equal(said, "EPT01\n", 6);
    SAYS(command_ept, "ept 0x105000 l2", "no L2\n");
}

/* Whatever is given instead of tables. */
static void ept_takes_random_pointers(void **state)
{
    char line[40];

    (void)state;
    for (u32 i = 0; i < 200; i++) {
        area.vmcs12.ept_pointer = fake_random() & (i & 1 ? ~0ull : 0x3ffffff);
        snprintf(line, sizeof(line), "ept %#lx", fake_random() >> (i & 31));
        assert_true(run(&command_ept, line));
    }
}

/* ---- translate ---- */

#define L1_SAYS                                                                                    \
    "L1, 4-level paging, CR3 0x2400000\n"                                                          \
    "  4  0x000002400888  0x0000000002401023  table rwx supervisor A\n"                            \
    "  3  0x000002401000  0x0000000002402023  table rwx supervisor A\n"                            \
    "  2  0x000002402000  0x0000000002403023  table rwx supervisor A\n"                            \
    "  1  0x000002403008  0x8000000002000163  page 4K rw- supervisor A D global\n"                 \
    "L1-physical 0x2000234  rw- supervisor\n"
#define L2_SAYS                                                                                    \
    "L2, 4-level paging, CR3 0x100000\n"                                                           \
    "  4  0x0000001007f0 -> 0x0000023007f0  0x0000000000101027  table rwx user A\n"                \
    "  3  0x000000101240 -> 0x000002301240  0x0000000000102027  table rwx user A\n"                \
    "  2  0x000000102d10 -> 0x000002302d10  0x0000000000103027  table rwx user A\n"                \
    "  1  0x000000103b38 -> 0x000002303b38  0x0000000000105005  page 4K r-x user\n"                \
    "L2-physical 0x105234  r-x user\n"                                                             \
    "L1-physical 0x2305234  rwx\n"

static void translate_shows_every_level_of_both(void **state)
{
    (void)state;
    SAYS(command_translate, "translate 0xffff888000001234", L1_SAYS);
    SAYS(command_translate, "translate l2 0x7f1234567234", L2_SAYS);
    enter();
    SAYS(command_translate, "translate 0x7f1234567234", L2_SAYS);
    SAYS(command_translate, "translate l1 0xffff888000001234", L1_SAYS);
}

static void translate_says_where_a_walk_ends(void **state)
{
    (void)state;
    SAYS(command_translate, "translate 0xffff888000003234",
         "L1, 4-level paging, CR3 0x2400000\n"
         "  4  0x000002400888  0x0000000002401023  table rwx supervisor A\n"
         "  3  0x000002401000  0x0000000002402023  table rwx supervisor A\n"
         "  2  0x000002402000  0x0000000002403023  table rwx supervisor A\n"
         "  1  0x000002403018  0x0000000000000000  not present\n"
         "not mapped: not present at level 1\n");
    SAYS(command_translate, "translate 0x888000003234",
         "L1, 4-level paging, CR3 0x2400000\nnot mapped: the tables are not for that address\n");
    map12(TABLES12, GPA(2), 1, 0);
    SAYS(command_translate, "translate l2 0x7f1234567234",
         "L2, 4-level paging, CR3 0x100000\n"
         "  4  0x0000001007f0 -> 0x0000023007f0  0x0000000000101027  table rwx user A\n"
         "  3  0x000000101240 -> 0x000002301240  0x0000000000102027  table rwx user A\n"
         "  2  0x000000102d10  EPT12 does not map the table\n"
         "not mapped: EPT12 does not map the table at level 2\n");
    map12(TABLES12, GPA(2), 1, HOME(2) | EPT_READ | WB);
    map12(TABLES12, GPA(5), 1, 0);
    SAYS_PART(command_translate, "translate l2 0x7f1234567234",
              "L2-physical 0x105234  r-x user\n"
              "not mapped by EPT12: not present at level 1\n");
    map12(TABLES12, GPA(1), 1, HIDDEN | EPT_READ | WB);
    SAYS_PART(command_translate, "translate l2 0x7f1234567234",
              "  3  0x000000101240 -> 0x000004000240  0xffffffffffffffff  reserved bits set, in "
              "hidden memory\nnot mapped: reserved bits set at level 3\n");
}

static void set_pae(u64 cr3)
{
    vmwrite(GUEST_CR3, cr3);
    vmwrite(GUEST_IA32_EFER, 0);
    vmwrite(GUEST_PDPTR0, GPA(0) | PTE_P);
    vmwrite(GUEST_PDPTR1, 0);
    area.vmcs12.vm_entry_controls &= ~VM_ENTRY_IA32E_MODE;
}

static void translate_knows_pae_paging(void **state)
{
    static const char wanted[] =
        "L2, PAE paging, CR3 0x101020\n"
        "  3  PDPTE register  0x0000000000100001  table\n"
        "  2  0x000000100008 -> 0x000002300008  0x00000000004000e7  page 2M rwx user A D\n"
        "L2-physical 0x412345  rwx user\n"
        "not mapped by EPT12: not present at level 2\n";

    (void)state;
    enter();
    set_pae(GPA(1) | 0x20);
    fake_put64(HOME(0) + 8, 2 * SIZE_2M | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_PS);
    SAYS(command_translate, "translate 0x100212345", wanted);
    SAYS_PART(command_translate, "translate 0x40212345",
              "  3  PDPTE register  0x0000000000000000  not present\n"
              "not mapped: not present at level 3\n");
    /* L2 has left them in vmcs02. */
    vmcs_switch(VMCS01);
    core.in_l2 = false;
    area.slot.newer_pdptes = true;
    SAYS(command_translate, "translate l2 0x100212345", wanted);
    assert_true(area.slot.newer_pdptes);
}

/* Without EPT a VM entry loads the PDPTEs from memory. */
static void translate_reads_pdptes_where_the_entry_does(void **state)
{
    (void)state;
    enter();
    set_pae(HOME(1) | 0x20);
    vmcs_switch(VMCS01);
    core.in_l2 = false;
    area.vmcs12.secondary_vm_exec_control = 0;
    fake_put64(HOME(1) + 0x20, HOME(3) | PTE_P);
    fake_put64(HOME(3), PTE_P | PTE_PS);
    SAYS(command_translate, "translate l2 0x1234",
         "L2, PAE paging, CR3 0x2301020\n"
         "  3  PDPTE register  0x0000000002303001  table\n"
         "  2  0x000002303000  0x0000000000000081  page 2M r-x supervisor\n"
         "L2-physical 0x1234  r-x supervisor\n");
    enter();
    SAYS_PART(command_translate, "translate l2 0x1234",
              "  3  PDPTE register  0x0000000000100001  table\n");
}

static void translate_knows_no_paging_and_32_bits(void **state)
{
    (void)state;
    enter();
    vmwrite(GUEST_CR0, CR0_PE);
    SAYS(command_translate, "translate 0x105678",
         "L2, no paging, CR3 0x100000\n"
         "L2-physical 0x105678  rwx user\n"
         "L1-physical 0x2305678  rwx\n");
    vmwrite(GUEST_CR0, CR0_PE | CR0_PG);
    vmwrite(GUEST_CR4, CR4_PSE);
    vmwrite(GUEST_IA32_EFER, 0);
    fake_put32(HOME(0) + 4, PTE_P | PTE_PS | PTE_W);
    SAYS_PART(command_translate, "translate 0x505678",
              "L2, 32-bit paging, CR3 0x100000\n"
              "  2  0x000000100004 -> 0x000002300004  0x0000000000000083  page 4M rwx "
              "supervisor\n"
              "L2-physical 0x105678  rwx supervisor\n"
              "L1-physical 0x2305678  rwx\n");
}

static void translate_needs_a_guest(void **state)
{
    (void)state;
    core.nested.current = NULL;
    SAYS(command_translate, "translate l2 0x1000", "no L2\n");
    SAYS_PART(command_translate, "translate l1 0x1000", "L1, 4-level paging");
}

/* ---- mem ---- */

static void fill_text(u64 pa)
{
    for (u64 i = 0; i < 32; i++)
        fake_put64(pa + 8 * i, 0x4847464544430040 + i);
}

static void mem_shows_units_and_text(void **state)
{
    (void)state;
    fill_text(DATA + 0xfe0);
    SAYS(command_mem, "mem 0x2000fe0",
         "0000000002000fe0  40 00 43 44 45 46 47 48 41 00 43 44 45 46 47 48  @.CDEFGHA.CDEFGH\n"
         "0000000002000ff0  42 00 43 44 45 46 47 48 43 00 43 44 45 46 47 48  B.CDEFGHC.CDEFGH\n"
         "0000000002001000  44 00 43 44 45 46 47 48 45 00 43 44 45 46 47 48  D.CDEFGHE.CDEFGH\n"
         "0000000002001010  46 00 43 44 45 46 47 48 47 00 43 44 45 46 47 48  F.CDEFGHG.CDEFGH\n");
    SAYS(command_mem, "mem p 0x2000fe3 20 w",
         "0000000002000fe2  4443 4645 4847 0041 4443 4645 4847       CDEFGHA.CDEFGH\n"
         "0000000002000ff0  0042 4443 4645                           B.CDEF\n");
    SAYS(command_mem, "mem 0x2000fe0 12 d",
         "0000000002000fe0  44430040 48474645 44430041           @.CDEFGHA.CD\n");
    SAYS(command_mem, "mem 0x2000fe7 1 q",
         "0000000002000fe0  4847464544430040                   @.CDEFGH\n");
    SAYS(command_mem, "mem 0x2000fe7 1 b",
         "0000000002000fe7  48                                               H\n");
}

static void mem_shows_dots_for_what_is_no_text(void **state)
{
    (void)state;
    fake_put64(DATA, 0xff807f7e21201f00);
    SAYS(command_mem, "mem 0x2000000 8 q",
         "0000000002000000  ff807f7e21201f00                   .. !~...\n");
}

static void mem_goes_page_by_page(void **state)
{
    (void)state;
    fill_text(HOME(5) + 0xff0);
    fake_put64(home(GPA(3)) + 8 * (L2_LINEAR >> 12 & 511) + 8, GPA(7) | PTE_P | PTE_W);
    fake_put64(HOME(7), 0x3837363534333231);
    enter();
    SAYS(command_mem, "mem l2 0x7f1234567ff0 32 q",
         "00007f1234567ff0  4847464544430040 4847464544430041  @.CDEFGHA.CDEFGH\n"
         "00007f1234568000  3837363534333231 0000000000000000  12345678........\n");
    SAYS(command_mem, "mem l2 0x7f1234568ff8 32 q",
         "00007f1234568ff8  0000000000000000                   ........\n"
         "00007f1234569000  not mapped: not present at level 1\n");
    map12(TABLES12, GPA(7), 1, 0);
    SAYS(command_mem, "mem l2 0x7f1234568000",
         "00007f1234568000  not mapped by EPT12: not present at level 1\n");
    fill_text(DATA);
    SAYS(command_mem, "mem l1 0xffff888000001000 8 q",
         "ffff888000001000  4847464544430040                   @.CDEFGH\n");
    SAYS(command_mem, "mem l1 0x800000000000",
         "0000800000000000  not mapped: the tables are not for that address\n");
}

static void mem_says_what_it_does_not_read(void **state)
{
    (void)state;
    SAYS(command_mem, "mem 0x3fffff0 32 q",
         "0000000003fffff0  0000000000000000 0000000000000000  ................\n"
         "0000000004000000  hidden: L0's own memory\n");
    SAYS(command_mem, "mem 0x7ffffff 4096",
         "0000000007ffffff  00                                               .\n"
         "0000000008000000  device memory is not read\n");
    SAYS(command_mem, "mem 0xfee00000 4 d", "00000000fee00000  device memory is not read\n");
    SAYS(command_mem, "mem 0x140000000", "0000000140000000  no memory\n");
    SAYS(command_mem, "mem 0xfffffffffffffff8 16 q",
         "fffffffffffffff8  no memory\n"
         "0000000000000000  0000000000000000                   ........\n");
    map12(TABLES12, GPA(5), 1, HIDDEN | EPT_READ | WB);
    SAYS(command_mem, "mem l2 0x7f1234567000", "00007f1234567000  hidden: L0's own memory\n");
}

static void mem_shows_a_page_at_most(void **state)
{
    (void)state;
    assert_true(run(&command_mem, "mem 0x2000008 4096 q"));
    assert_int_equal(said_len, 255 * 70 + 2 * 62);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    static const char *const ept_lines[] = {"ept", "ept x", "ept 1 l3", "ept 1 l1 2", "ept l1 1"};
    static const char *const translate_lines[] = {"translate", "translate l1", "translate x",
                                                  "translate 1 l1", "translate l3 1"};
    static const char *const mem_lines[] = {"mem",       "mem l1",     "mem p",     "mem q",
                                            "mem 1 0",   "mem 1 4097", "mem 1 2 x", "mem 1 2 b 3",
                                            "mem 1 b 2", "mem l3 1",   "mem 1 2 3"};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(ept_lines); i++)
        assert_false(run(&command_ept, ept_lines[i]));
    for (u32 i = 0; i < ARRAY_SIZE(translate_lines); i++)
        assert_false(run(&command_translate, translate_lines[i]));
    for (u32 i = 0; i < ARRAY_SIZE(mem_lines); i++)
        assert_false(run(&command_mem, mem_lines[i]));
    assert_int_equal(said_len, 0);
    core.nested.current = NULL;
    SAYS(command_mem, "mem l2 0x1000", "no L2\n");
}

/* ---- hv/monitor/guest.h ---- */

static void fields_are_those_of_each_guest(void **state)
{
    u64 value;

    (void)state;
    area.vmcs12.cr3_target_count = 7;
    for (u32 l2 = 0; l2 < 2; l2++) {
        assert_int_equal(guest_running(&core), 1 + l2);
        assert_int_equal(guest_field(&core, 1, GUEST_CR3), L1_CR3);
        assert_int_equal(guest_field(&core, 2, GUEST_CR3), GPA(0));
        assert_int_equal(l2_field(&core, GUEST_CR3), GPA(0));
        assert_int_equal(l2_field(&core, CR3_TARGET_COUNT), 7);
        assert_int_equal(guest_field(&core, 2, CR3_TARGET_COUNT), 7);
        assert_true(guest_vmcs_read(&core, GUEST_VMCS02, CR3_TARGET_COUNT, &value));
        assert_int_equal(value, 0);
        assert_false(guest_vmcs_read(&core, GUEST_VMCS12, 0x7ffe, &value));
        assert_int_equal(l2_field(&core, 0x7ffe), 0);
        assert_int_equal(loaded, l2);
        if (!l2)
            enter();
    }
    assert_true(guest_exists(&core, 1) && guest_exists(&core, 2) && !guest_exists(&core, 3));
    core.in_l2 = false;
    core.nested.current = NULL;
    assert_true(guest_exists(&core, 1) && !guest_exists(&core, 2));
    assert_false(guest_vmcs_read(&core, GUEST_VMCS12, GUEST_CR3, &value));
    assert_false(guest_vmcs_read(&core, GUEST_VMCS02, GUEST_CR3, &value));
    assert_int_equal(guest_field(&core, 2, GUEST_CR3), 0);
}

/* L0's own values in vmcs02 are not L1's. */
static void what_l0_has_borrowed_is_shown_as_l1_has_it(void **state)
{
    (void)state;
    enter();
    vmwrite(VM_ENTRY_INTR_INFO_FIELD, 0x80000202);
    vmwrite(VMX_PREEMPTION_TIMER_VALUE, 5);
    assert_int_equal(l2_field(&core, VM_ENTRY_INTR_INFO_FIELD), 0x80000202);
    assert_int_equal(l2_field(&core, VMX_PREEMPTION_TIMER_VALUE), 5);
    area.slot.borrowed[0] = (struct borrowed_field){VM_ENTRY_INTR_INFO_FIELD, 0x123};
    area.slot.borrowed_count = 1;
    area.slot.timer_lent = true;
    area.slot.timer = 99;
    assert_int_equal(l2_field(&core, VM_ENTRY_INTR_INFO_FIELD), 0x123);
    assert_int_equal(l2_field(&core, VMX_PREEMPTION_TIMER_VALUE), 99);
}

/* IA32_EFER is vmcs02's while L2 runs, and what the next entry makes of it while L1 does. */
static void efer_is_that_of_the_mode(void **state)
{
    (void)state;
    assert_int_equal(guest_field(&core, 2, GUEST_IA32_EFER), EFER_LMA | EFER_LME | EFER_NXE);
    area.vmcs12.vm_entry_controls = 0;
    assert_int_equal(guest_field(&core, 2, GUEST_IA32_EFER), EFER_NXE);
    vmcs_switch(VMCS02);
    vmwrite(GUEST_CR0, CR0_PE);
    vmcs_switch(VMCS01);
    assert_int_equal(guest_field(&core, 2, GUEST_IA32_EFER), EFER_LME | EFER_NXE);
    area.vmcs12.vm_entry_controls = VM_ENTRY_LOAD_IA32_EFER;
    area.vmcs12.guest_ia32_efer = EFER_SCE;
    assert_int_equal(guest_field(&core, 2, GUEST_IA32_EFER), EFER_SCE);
    enter();
    assert_int_equal(guest_field(&core, 2, GUEST_IA32_EFER), EFER_LMA | EFER_LME | EFER_NXE);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ept_shows_an_address_of_l2_in_all_three),
        TEST(ept_says_what_ept12_forbids),
        TEST(ept_knows_of_virtualization_exceptions),
        TEST(ept_knows_of_mode_based_execute_control),
        TEST(ept_says_that_a_write_sets_the_dirty_flag),
        TEST(ept_says_what_is_hidden),
        TEST(ept_says_that_ept12_has_changed),
        TEST(ept_says_that_an_entry_would_fail),
        TEST(ept_of_l1_is_ept01),
        TEST(ept_without_ept12_is_ept01),
        TEST(ept_takes_random_pointers),
        TEST(translate_shows_every_level_of_both),
        TEST(translate_says_where_a_walk_ends),
        TEST(translate_knows_pae_paging),
        TEST(translate_reads_pdptes_where_the_entry_does),
        TEST(translate_knows_no_paging_and_32_bits),
        TEST(translate_needs_a_guest),
        TEST(mem_shows_units_and_text),
        TEST(mem_shows_dots_for_what_is_no_text),
        TEST(mem_goes_page_by_page),
        TEST(mem_says_what_it_does_not_read),
        TEST(mem_shows_a_page_at_most),
        TEST(arguments_that_make_no_sense_are_refused),
        TEST(fields_are_those_of_each_guest),
        TEST(what_l0_has_borrowed_is_shown_as_l1_has_it),
        TEST(efer_is_that_of_the_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
