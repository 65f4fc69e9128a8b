# include/vmcs12.tsv to C: one assertion a field of its offset, size and encoding.
BEGIN {
    FS = "\t"
    size["u16"] = 2; size["u32"] = 4; size["u64"] = 8; size["natural_width"] = 8
    print "/* Made from include/vmcs12.tsv. */"
}
NR > 1 {
    printf "_Static_assert(offsetof(struct vmcs12, %s) == %d && sizeof(((struct vmcs12 *)0)->%s) == %d, \"%s\");\n",
        $3, $1, $3, $4 * size[$2], $3
    if ($5 != "")
        printf "_Static_assert(%s == %s, \"%s\");\n", toupper($3), $5, $3
}
