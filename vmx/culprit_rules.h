/* What a VM entry demands of a vmcs12, as tables that vmx/culprit.c goes through. */
#ifndef PLASTRON_VMX_CULPRIT_RULES_H
#define PLASTRON_VMX_CULPRIT_RULES_H

#include "types.h"

enum rule_op {
    /* Gates: the next rules, as many as argument says, are for where this is so. */
    IF_SET,     /* the bit of field that detail names */
    IF_CLEAR,   /* not that one */
    IF_EQUAL,   /* field has the value in detail */
    IF_INJECTS, /* an event of the type in detail */
    IF_HAS,     /* the bit in detail of the capabilities at field */
    IF_LACKS,   /* not that one */
    /* Bits of field. A range in argument: the first one, and in the high byte how many. */
    ALL_ONES,   /* a range */
    ALL_ZEROS,  /* a range */
    EQUAL,      /* argument */
    FIXED,      /* by fixed-bits MSRs; argument: where struct vmx_caps has them */
    RESERVED,   /* 0 where a mask there is 1 */
    KNOWN,      /* 0 where neither argument nor the mask at detail is 1 */
    ERROR_CODE, /* delivered if the vector has one */
    TAKEN,      /* an event, if there is one, by a guest of the activity state in argument */
    HOST_MODE,  /* L1's */
    CONTROL,    /* by a capability MSR; argument as above */
    ALIGNED,    /* a physical address: argument bits of it are 0 */
    IS_CANONICAL,
    RIP_CANONICAL,
    NOT_0,
    PAT,
    TYPE,        /* argument: the set of types that may be */
    ONE_OF,      /* the set of what the three bits from detail on may be */
    CR3_TARGETS, /* their count */
    THRESHOLD,   /* not above the class in VTPR */
    LINK,        /* of memory: a VMCS of the right kind there, another than the current one */
    PDPTE,       /* one, in memory or in field */
    /* Several fields. */
    AREA,       /* of MSRs; argument: the count of its entries */
    SAME_LEVEL, /* the RPL of a selector or DPL of access rights is that of the field in argument */
    NOT_BELOW,  /* it is no less, if the segment is not conforming code */
    V86_BASE,
    LIMIT,
    SINGLE_STEP,
};

#define RULE_OP        0x3fu
#define RULE_USABLE    BIT(6) /* of segments, for usable ones */
#define RULE_WITH_GATE BIT(7) /* it contradicts what its gate looks at */

/* With a set of segments in detail (which KNOWN and ONE_OF have not) field is that of ES, and the
   rule is for each of the set. */
struct rule {
    u16 field;
    u16 argument;
    u8 op;
    u8 detail;
};

struct rules {
    const struct rule *rule;
    u32 count;
};

/* In the SDM's order, but that TR, LDTR and the link pointer are where check_guest_state() has
 * them. */
extern const struct rules control_rules, host_rules, guest_rules;

#endif
