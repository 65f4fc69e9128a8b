/* Prints the VMCS that is current on this core. */
#ifndef PLASTRON_HV_VMCS_DUMP_H
#define PLASTRON_HV_VMCS_DUMP_H

/* Every field that VMREAD accepts, by name, several a line. Works, and says so, without a current
   VMCS and outside VMX operation. */
void vmcs_dump(void);

#endif
