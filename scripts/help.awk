# What can I make?  The targets of a Makefile with the words behind their `##`.
/^[a-z-]+:.*## / {
    split($0, parts, ":.*## ")
    printf "  make %-14s%s\n", parts[1], parts[2]
}
