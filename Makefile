# Plastron. `make help` names the targets; everything built goes to build/, everything
# downloaded to .cache/.

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
NASM := nasm
B := build
V ?=
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $@)

WARNINGS := -Wall -Wextra -Wvla -Werror
INCLUDES := -Iinclude -I.
CFLAGS_L0 := -std=gnu11 -g $(WARNINGS) -Wconversion -ffreestanding -I$(B) -fno-stack-protector \
	-mcmodel=kernel -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie \
	-fno-omit-frame-pointer -fno-asynchronous-unwind-tables $(INCLUDES)
USE_EFI := -fshort-wchar -DGNU_EFI_USE_MS_ABI -isystem /usr/include/efi \
	-isystem /usr/include/efi/x86_64
CFLAGS_EFI := -std=gnu11 -Os $(WARNINGS) -ffreestanding -fpic -fvisibility=hidden \
	-fno-stack-protector -mno-red-zone -mgeneral-regs-only -fno-strict-aliasing \
	$(INCLUDES) $(USE_EFI)
CFLAGS_UNIT := -std=gnu11 -O1 -g $(WARNINGS) -Wconversion -fsanitize=address,undefined \
	-fno-sanitize-recover=all $(INCLUDES) -Itests/unit

# What an exit of L2 runs through is made to be fast, all else to be small.
FAST := hv/exit.c hv/exit_cpuid.c hv/inject.c vmx/instructions.c vmx/l2_enter.c vmx/l2_exit.c vmx/l1_host.c \
	vmx/vmcs02.c vmx/slots.c vmx/operand.c vmx/decode.c vmx/ept_violation.c vmx/capabilities.c \
	vmx/check_controls.c mm/ept02.c mm/ept12.c mm/shadow.c mm/watch.c mm/exposure.c mm/walk.c mm/phys.c
L0_C := $(wildcard hv/*.c hv/monitor/*.c vmx/*.c mm/*.c drivers/*.c)
L0_ASM := $(wildcard hv/*.asm)
L0_OBJ = $(L0_C:%.c=$(B)/l0/%.o) $(L0_ASM:%.asm=$(B)/l0/%.asm.o)
# A hook in place of a function of L0, for a test's own build: see the panic target.
ifdef HOOK
L0_C += $(HOOK)
WRAP := -Wl,--wrap=exit_vmcall
else ifneq ($(findstring gcc,$(CC)),)
# An exit goes through a dozen files: the compiler sees it as a whole. (--wrap needs calls to remain.)
LTO := -flto
endif
LOADER_C := $(wildcard boot/*.c) hv/format.c hv/lib.c
LOADER_ASM := $(wildcard boot/*.asm)
LOADER_OBJ := $(LOADER_C:%.c=$(B)/efi/%.o) $(LOADER_ASM:%.asm=$(B)/efi/%.asm.o)

all: $(B)/plastron.efi $(B)/probe.efi $(B)/plastronctl

# L0 is linked twice: the second time with the symbol table made from the first.
# How an object is made stands here, so that this file is one of its sources.
$(B)/l0/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_L0) $(if $(filter $<,$(FAST)),-O2,-Os) $(LTO) -MMD -MP -c $< -o $@

$(B)/l0/%.asm.o: %.asm hv/offsets.inc
	@mkdir -p $(@D)
	$(call say,NASM)
	$(Q)$(NASM) -f elf64 -g -w+all -Werror $< -o $@

$(B)/l0/hv/start.o: $(B)/vmcs12_abi.h

LINK_L0 = $(CC) $(CFLAGS_L0) -O2 $(if $(LTO),-flto -flto-partition=one) $(WRAP) -nostdlib -static \
	-Wl,-z,max-page-size=4096,-z,noexecstack,--build-id=none -T linker.ld

$(B)/symbols1.c: tools/mksymbols
	@mkdir -p $(@D)
	$(Q)tools/mksymbols > $@

$(B)/pass1.elf: $(L0_OBJ) $(B)/l0/symbols1.o linker.ld
	$(call say,LD)
	$(Q)$(LINK_L0) $(L0_OBJ) $(B)/l0/symbols1.o -o $@

$(B)/symbols2.c: $(B)/pass1.elf
	$(Q)tools/mksymbols $< > $@

$(B)/l0/symbols%.o: $(B)/symbols%.c
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_L0) -Ihv -c $< -o $@

$(B)/plastron.elf: $(L0_OBJ) $(B)/l0/symbols2.o linker.ld
	$(call say,LD)
	$(Q)$(LINK_L0) $(L0_OBJ) $(B)/l0/symbols2.o -o $@
	$(Q)tools/mksymbols $@ | cmp - $(B)/symbols2.c

# The documented vmcs12 layout, as assertions.
$(B)/vmcs12_abi.h: include/vmcs12.tsv tools/vmcs12_abi.awk
	@mkdir -p $(@D)
	$(Q)awk -f tools/vmcs12_abi.awk $< > $@

# The loader carries L0's image with it, compressed: one block of LZ4.
$(B)/plastron-l0.elf: $(B)/plastron.elf
	$(Q)objcopy --strip-all $< $@

$(B)/plastron-l0.lz4: $(B)/plastron-l0.elf
	$(Q)lz4 -l -12 -q -f $< $@

$(B)/efi/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_EFI) -ffunction-sections -MMD -MP -c $< -o $@

$(B)/efi/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM)
	$(Q)$(NASM) -f elf64 -w+all -Werror -i $(B)/ $(NASM_FLAGS) $< -o $@

$(B)/efi/boot/l0_image.asm.o: $(B)/plastron-l0.lz4
$(B)/efi/boot/l0_image.asm.o: NASM_FLAGS = -DL0_SIZE=$(shell stat -c %s $(B)/plastron-l0.elf)

LINK_EFI = ld -nostdlib -shared -Bsymbolic --no-undefined -z noexecstack
OBJCOPY_EFI = objcopy --strip-all --target efi-app-x86_64 --subsystem 10 -j .text -j .data -j .reloc

# The loader has to be small: it does without gnu-efi's library, start and relocations.
$(B)/plastron.efi: $(LOADER_OBJ) boot/loader.ld
	$(call say,LD)
	$(Q)$(LINK_EFI) --gc-sections -z pack-relative-relocs -T boot/loader.ld $(LOADER_OBJ) \
		-o $(B)/plastron.so
	$(Q)$(OBJCOPY_EFI) -j .bss $(B)/plastron.so $@

# The probe: an EFI program that is itself a small hypervisor.
PROBE_OBJ := $(patsubst tests/probe/%.c,$(B)/probe/%.o,$(wildcard tests/probe/*.c)) \
	$(patsubst tests/probe/%.asm,$(B)/probe/%.asm.o,$(wildcard tests/probe/*.asm))

$(B)/probe/%.o: tests/probe/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_EFI) -g -MMD -MP -c $< -o $@

$(B)/probe/%.asm.o: tests/probe/%.asm $(wildcard tests/probe/*.inc)
	@mkdir -p $(@D)
	$(call say,NASM)
	$(Q)$(NASM) -f elf64 -w+error -i tests/probe/ $< -o $@

$(B)/probe.efi: $(PROBE_OBJ)
	$(call say,LD)
	$(Q)$(LINK_EFI) -z nocombreloc -T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o \
		$(PROBE_OBJ) -o $(B)/probe.so -L/usr/lib -lgnuefi
	$(Q)$(OBJCOPY_EFI) -j .rodata -j .dynamic -j .dynsym -j '.rel*' $(B)/probe.so $@

# For L1's user space.
$(B)/plastronctl: $(wildcard tools/plastronctl/*.[ch] include/*.h)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu11 -O2 $(WARNINGS) -Wconversion -static -Iinclude $(filter %.c,$^) -o $@

# Host unit tests: each a program of its test file and the sources it names, under sanitizers.
CHECKS := vmx/check_controls.c vmx/check_host.c vmx/check_guest.c vmx/capabilities.c
FAKE := tests/unit/fake_phys.c
UNIT_bitmaps := vmx/bitmaps.c
UNIT_boot_checks := boot/checks.c hv/format.c
UNIT_boot_image := boot/elf.c boot/paging.c boot/acpi.c
UNIT_capabilities := vmx/capabilities.c
UNIT_check_controls := $(CHECKS) vmx/direct.c
UNIT_FLAGS_check_controls := -include tests/unit/fake_vmcs.h
UNIT_check_guest := $(CHECKS)
UNIT_check_host := $(CHECKS) vmx/direct.c
UNIT_FLAGS_check_host := -include tests/unit/fake_vmcs.h
UNIT_commands := hv/monitor/commands.c hv/monitor/line.c
CULPRIT := vmx/culprit.c vmx/culprit_rules.c vmx/culprit_text.c hv/format.c hv/text.c hv/vmcs_names.c
UNIT_culprit := $(CULPRIT) $(CHECKS)
UNIT_config := boot/config.c hv/format.c
UNIT_decode := vmx/decode.c
UNIT_ept01 := mm/ept01.c mm/memtype.c mm/pool.c $(FAKE)
EPT02 := mm/ept02.c mm/watch.c mm/ept12.c mm/ept01.c mm/exposure.c mm/memtype.c mm/pool.c mm/shadow.c $(FAKE)
UNIT_cmd_address := $(addprefix hv/monitor/,cmd_address.c cmd_mem.c guest.c linear.c) mm/inspect.c hv/format.c vmx/direct.c \
	$(CHECKS) $(EPT02)
UNIT_FLAGS_cmd_address := -include tests/unit/fake_vmcs.h
UNIT_ept02 := $(EPT02)
UNIT_ept02_random := $(EPT02)
UNIT_exposure := mm/exposure.c
UNIT_ept12 := mm/ept12.c $(FAKE)
UNIT_firmware := boot/firmware.c
UNIT_FLAGS_firmware := $(USE_EFI)
UNIT_format := hv/format.c hv/log_ring.c
UNIT_inspect := mm/inspect.c mm/walk.c hv/format.c $(EPT02)
GDB := hv/monitor/gdb.c hv/monitor/gdb_packet.c hv/monitor/gdb_registers.c hv/format.c
UNIT_gdb := $(GDB)
UNIT_io := hv/monitor/io.c hv/inject.c mm/pool.c $(FAKE)
UNIT_FLAGS_io := -include tests/unit/fake_vmcs.h
UNIT_l2_enter := vmx/l2_enter.c vmx/l2_exit.c vmx/ept_violation.c vmx/slots.c vmx/direct.c \
	vmx/vmcs02.c vmx/bitmaps.c hv/inject.c $(CHECKS)
UNIT_FLAGS_l2_enter := -include tests/unit/fake_vmcs.h
UNIT_leaves := hv/leaves.c vmx/capabilities.c
UNIT_line := hv/monitor/line.c
UNIT_lz4 := boot/lz4.c
UNIT_memtype := mm/memtype.c $(FAKE)
UNIT_msr_list := vmx/msr_list.c $(FAKE)
UNIT_FLAGS_msr_list := -include tests/unit/fake_vmcs.h
UNIT_operand := vmx/operand.c vmx/decode.c hv/inject.c mm/walk.c $(FAKE)
UNIT_FLAGS_operand := -include tests/unit/fake_vmcs.h
UNIT_overlay := mm/overlay.c mm/pool.c $(FAKE)
UNIT_paging := mm/paging.c mm/pool.c $(FAKE)
UNIT_phys := mm/phys.c
UNIT_FLAGS_phys := -Wl,--wrap=memcpy
UNIT_plastronctl := $(addprefix tools/plastronctl/,plastronctl.c read.c show.c top.c) \
	hv/leaves.c vmx/capabilities.c
$(B)/unit/plastronctl: tools/plastronctl/plastronctl.h
UNIT_pool := mm/pool.c $(FAKE)
UNIT_pool_faults := $(EPT02) mm/overlay.c
UNIT_FLAGS_ept02_random := -Wl,--wrap=shadow_take,--wrap=shadow_new,--wrap=pool_alloc
UNIT_FLAGS_pool_faults := $(UNIT_FLAGS_ept02_random)
RECORDER := hv/recorder.c hv/names.c hv/vmx_errors.c hv/format.c hv/text.c
UNIT_record := hv/record.c $(RECORDER)
UNIT_FLAGS_record := -include tests/unit/fake_vmcs.h
UNIT_recorder := $(RECORDER)
UNIT_route := vmx/route.c $(FAKE)
UNIT_shadow := mm/shadow.c $(FAKE)
UNIT_suspect := hv/suspect.c hv/format.c
UNIT_FLAGS_suspect := -include tests/unit/fake_vmcs.h
UNIT_symbols := hv/symbols.c
UNIT_task_switch := hv/task_switch.c vmx/decode.c mm/walk.c mm/pool.c vmx/check_guest.c $(FAKE)
UNIT_vmcs_words := hv/vmcs_words.c hv/exit_words.c hv/vmcs_bits.c hv/vmcs_names.c hv/word_list.c \
	hv/vmx_errors.c hv/names.c hv/format.c hv/text.c vmx/decode.c
UNIT_timer := hv/monitor/timer.c
UNIT_FLAGS_timer := -include tests/unit/fake_vmcs.h
UNIT_uart := hv/monitor/uart.c
UNIT_watch := $(EPT02)
UNIT_vmfunc := vmx/vmfunc.c hv/inject.c $(CHECKS) $(FAKE)
UNIT_FLAGS_vmfunc := -include tests/unit/fake_vmcs.h
UNIT_walk := mm/walk.c mm/pool.c $(FAKE)
UNIT_NAMES := $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_NAMES:%=$(B)/unit/%)

.SECONDEXPANSION:
$(B)/unit/%: tests/unit/test_%.c $$(UNIT_$$*) $(wildcard */*.h hv/monitor/*.h tests/unit/*.h)
	@mkdir -p $(@D)
	$(call say,UNIT)
	$(Q)$(CC) $(CFLAGS_UNIT) $(UNIT_FLAGS_$*) $< $(UNIT_$*) -lcmocka -lpthread -o $@

# Fuzzers of the same sources: libFuzzer under clang, with the sanitizers.
CFLAGS_FUZZ := -std=gnu11 -O1 -g $(WARNINGS) -Wno-unused-function -fno-sanitize-recover=all \
	-fsanitize=fuzzer,address,undefined $(INCLUDES) -Itests/fuzz
MEMORY := tests/fuzz/memory.c
FUZZ_acpi := boot/acpi.c
FUZZ_bitmaps := vmx/bitmaps.c vmx/route.c $(MEMORY)
FUZZ_capabilities := vmx/capabilities.c
FUZZ_check := $(CHECKS) tests/fuzz/model_entry.c
FUZZ_config := boot/config.c hv/format.c
FUZZ_culprit := $(CULPRIT) $(CHECKS)
FUZZ_decode := vmx/decode.c
FUZZ_elf := boot/elf.c
FUZZ_ept12 := mm/ept12.c $(MEMORY)
FUZZ_line := hv/monitor/line.c hv/monitor/commands.c
FUZZ_gdb := $(GDB)
FUZZ_lz4 := boot/lz4.c
FUZZ_memtype := mm/memtype.c $(MEMORY)
FUZZ_task_switch := hv/task_switch.c vmx/decode.c mm/walk.c vmx/check_guest.c $(MEMORY)
FUZZ_walk := mm/walk.c $(MEMORY)
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_NAMES:%=$(B)/fuzz/%)
FUZZ_SECONDS ?= 600

$(B)/fuzz/%: tests/fuzz/fuzz_%.c $$(FUZZ_$$*) $(wildcard */*.h hv/monitor/*.h tests/fuzz/*.h tests/unit/*.h)
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)clang $(CFLAGS_FUZZ) $< $(FUZZ_$*) -lcmocka -o $@

# What the tests of the tools run against: programs of this host, under the sanitizers.
TOOL_gdb_server := $(GDB)

$(B)/tools/%: tests/tools/%.c $$(TOOL_$$*) $(wildcard */*.h hv/monitor/*.h)
	@mkdir -p $(@D)
	$(call say,TOOL)
	$(Q)$(CC) $(CFLAGS_UNIT) $< $(TOOL_$*) -o $@

# What follows installs what it needs first: tools/setup.
setup-%:
	@tools/setup $*

# The main thing: Plastron, Debian's Linux on it as L1, guests of its KVM, and then L1's shell.
run: setup-build setup-emulator setup-guests
	@$(MAKE) --no-print-directory $(B)/plastron.efi
	@tools/mkboot $(B)/run.img --plastron $(B)/plastron.efi --qemu --append plastron.run=demo
	@tools/emu --image $(B)/run.img --cpus 2

# The same with the monitor, at a TCP port of this host.
MONITOR_PORT := 4444
monitor: setup-build setup-emulator setup-guests
	@$(MAKE) --no-print-directory $(B)/plastron.efi
	@printf 'monitor=com2\n' > $(B)/monitor.conf
	@tools/mkboot $(B)/monitor.img --plastron $(B)/plastron.efi --conf $(B)/monitor.conf --qemu
	@tools/emu --image $(B)/monitor.img --cpus 2 --monitor $(MONITOR_PORT)

image: setup-build setup-guests
	@$(MAKE) --no-print-directory $(B)/plastron.efi
	@tools/mkboot $(B)/plastron.img --plastron $(B)/plastron.efi
	@echo "$(B)/plastron.img is ready: write it to a USB stick, or copy its files to an EFI partition"

unit: setup-build
	@$(MAKE) --no-print-directory -j$$(nproc) $(UNIT_BIN)
	@tests/unit/run $(UNIT_BIN)

# The tools that run on this host.
tools-test: setup-build setup-tests setup-bench
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/unit/recorder $(B)/plastron.elf
	@/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/tools

# Cores map, move, protect and drop pages at once, and look at them, STRESS times: four that use EPT02
# on this host, two of L1 under Plastron whose L2s look at every byte.
STRESS := 10000000
stress: setup-build setup-emulator setup-tests
	@$(MAKE) --no-print-directory $(B)/unit/ept02_random $(B)/plastron.efi $(B)/probe.efi
	@STRESS=$(STRESS) $(B)/unit/ept02_random 'cores_*'
	@tests/probe/run --suite attack --cpus 2 --only race.churn --timeout 36000 churn=$(STRESS)

# A short run, the same each time; and a long one of these and of the probe's, bare against Plastron.
fuzz-short: setup-build
	@$(MAKE) --no-print-directory -j$$(nproc) $(FUZZ_BIN)
	@tests/fuzz/run $(FUZZ_BIN)

fuzz: setup-build setup-emulator setup-tests
	@$(MAKE) --no-print-directory -j$$(nproc) $(FUZZ_BIN) $(B)/plastron.efi $(B)/probe.efi
	@tests/fuzz/run --seconds $(FUZZ_SECONDS) --probe $(FUZZ_BIN)

probe: setup-build setup-emulator setup-tests
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plastron.efi $(B)/probe.efi
	@tests/probe/run

# docs/conformance.md, from what the last complete run of the probe found; and whether it is complete.
conformance:
	@tests/probe/conformance

conformance-check:
	@tests/probe/conformance --check

# A suite that is not ours: KUT names a tree of kvm-unit-tests, or several, that you have built.
kut: setup-build setup-emulator setup-guests setup-tests
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plastron.efi
	@tests/kut/run $(KUT)

system: setup-build setup-emulator setup-guests setup-tests
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plastron.efi $(B)/probe.efi
	@$(MAKE) --no-print-directory -j$$(nproc) B=$(B)/panic HOOK=tests/system/panic_hook.c \
		$(B)/panic/plastron.efi
	@/usr/bin/python3 -m pytest tests/system -n 2 -vv $(PYTEST)

# What nesting costs: the same L1 and L2 bare, under Plastron, and under another Linux's KVM. CORES: on
# so many at once, too.
CORES := 1,2,4,8
bench: setup-build setup-emulator setup-guests setup-bench
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plastron.efi $(B)/probe.efi
	@tests/bench/run --cores $(CORES)

# What L0 executes for each operation must not grow.
counts: setup-build setup-emulator setup-guests setup-tests
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plastron.efi $(B)/probe.efi
	@tests/bench/counts

# What L2's memory costs: bare, and under Plastron.
bench-mmu: setup-build setup-emulator setup-guests setup-tests
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/plastron.efi $(B)/probe.efi
	@tests/bench/mmu

test:
	@tests/run unit tools-test fuzz-short counts probe conformance-check system

test-all:
	@PYTEST=--all tests/run unit tools-test fuzz-short counts probe conformance-check system

# The other compiler builds it all without a warning, too.
clang: setup-build
	@$(MAKE) --no-print-directory -j$$(nproc) CC=clang B=$(B)/clang

format: setup-build
	clang-format -i $(wildcard boot/*.[ch] drivers/*.[ch] hv/*.[ch] hv/monitor/*.[ch] include/*.[ch] mm/*.[ch] vmx/*.[ch] tests/*/*.[ch])

help:
	@echo "make run       set everything up, boot Plastron with Linux and KVM on it, end in L1's shell"
	@echo "make monitor   the same with L0's monitor at TCP port $(MONITOR_PORT), for nc, socat or gdb"
	@echo "make test      set everything up, run all tests but the long ones"
	@echo "make test-all  the long ones too"
	@echo "make unit      tests of L0's and the loader's logic on this host, with sanitizers"
	@echo "make tools-test  tests of the tools that decode what L0 recorded"
	@echo "make stress    L2's memory changed by several cores at once, STRESS=$(STRESS) times; an hour"
	@echo "make fuzz      the same logic and VM entries at random, for FUZZ_SECONDS=600"
	@echo "make probe     what the VMX that L1 sees does, compared with the bare machine"
	@echo "make conformance  docs/conformance.md, from the last run of the probe"
	@echo "make kut KUT=DIR  kvm-unit-tests, which you built in DIR, bare and under Plastron"
	@echo "make system    Linux and KVM as L1"
	@echo "make bench     what nesting costs: bare, Plastron, KVM as L0; with CORES=$(CORES) at once"
	@echo "make counts    what L0 executes for each operation, against tests/bench/counts.json"
	@echo "make bench-mmu what L2's memory costs, bare and under Plastron"
	@echo "make image     $(B)/plastron.img, for a USB stick"
	@echo "make           $(B)/plastron.efi and the probe; needs 'tools/setup build' once"
	@echo "make clang     the same with clang"
	@echo "make format    clang-format over the sources"
	@echo "make clean     forget what was built; .cache/ stays"
	@echo "V=1 shows the commands."

clean:
	rm -rf $(B)

.PHONY: all run monitor image unit tools-test stress fuzz-short fuzz probe conformance conformance-check kut system bench counts bench-mmu test test-all clang format help clean
.DELETE_ON_ERROR:

-include $(L0_OBJ:.o=.d) $(LOADER_OBJ:.o=.d) $(PROBE_OBJ:.o=.d)
