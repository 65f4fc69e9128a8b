// Counts what the emulated machine does, by Bochs's instrumentation callbacks, whose bodies are
// empty in Debian's build: a word that is not the hypervisor's own.
//
// With PLASTRON_COUNTS naming a file, each mark adds a line to it, a JSON object:
//   mark   the number in EAX at an "xchg %bx, %bx", which does nothing; "console" when the first
//          serial port has said what PLASTRON_COUNTS_TEXT is; "end" when Bochs ends
//   cpu    that executed it
//   cpus   for each CPU, since the start: "outside", "root" and "guest", instructions outside VMX
//          operation, in VMX root operation, and in VMX non-root operation; "exits" by their basic
//          reason, and "exits_first", of these the ones of the VMCS that this CPU entered first:
//          under a hypervisor, its own guest's, and not those of guests of that; "vmread" ... of
//          each of these instructions in VMX root operation; "reads" and "writes" by VMREAD and
//          VMWRITE in VMX non-root operation, by field
#ifndef COUNT_H
#define COUNT_H

// Once, after patch_init().
void count_init(void);

#endif
