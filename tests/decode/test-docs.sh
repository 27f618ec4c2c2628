# docs/instructions.md is what insn.def says. "make docs BLESS=1" renews it.
"${BUILD:-build}/tools/instructions-md" | diff -u docs/instructions.md - | head -20 >&2
"${BUILD:-build}/tools/instructions-md" | cmp -s docs/instructions.md -
