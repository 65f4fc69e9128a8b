/* The names of VMCS fields, and how a name is found by a part of it. */
#ifndef PLASTRON_HV_VMCS_NAMES_H
#define PLASTRON_HV_VMCS_NAMES_H

#include "types.h"

#define VMCS_FIELD_NAME_MAX 30 /* the final zero included */

struct vmcs_field_name {
    char name[VMCS_FIELD_NAME_MAX];
    u16 encoding;
};

/* All fields of include/vmcs_fields.h, L0's own last. */
extern const struct vmcs_field_name vmcs_fields[];
extern const u32 vmcs_field_count;

/* "unknown field" if there is none. */
const char *vmcs_field_name(u64 encoding);

/* The pattern is somewhere in the name, whatever the case of letters; "*" in it stands for any
   text. An empty pattern is in every name. */
bool text_pattern(const char *name, const char *pattern);

#endif
