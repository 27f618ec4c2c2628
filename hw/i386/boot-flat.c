/*
 * -flat: a flat binary or ELF, started in a mode, with registers, and graded.
 *
 * For courses and tiny guests: no kernel format, no boot sector. The program
 * ends when processor 0 halts with interrupts off; then the registers named in
 * expect= are compared, each difference is one line, and the exit status is 1
 * if there was any.
 *
 * In real mode each interrupt vector points at its own HLT, so that an exception
 * or a BIOS call without a handler ends the program, and its number is known.
 *
 * limit= counts seconds of virtual time: no accelerator counts instructions.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/nearest.h"
#include "hw/i386/boot.h"
#include "hw/i386/boot-elf.h"

/* ---- registers by name ----------------------------------------------------------- */

typedef enum FlatRegKind {
    FLAT_GPR,
    FLAT_RIP,
    FLAT_RFLAGS,
    FLAT_SEG,
    FLAT_CR,
} FlatRegKind;

typedef struct FlatReg {
    FlatRegKind kind;
    unsigned index, bits;
} FlatReg;

static const char *const gpr64[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                       "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                       "r12", "r13", "r14", "r15" };
static const char *const seg_names[S_COUNT] = { "es", "cs", "ss",
                                                "ds", "fs", "gs" };

/* rax, eax, ax, al; r8, r8d, r8w, r8b. */
static bool flat_find_gpr(const char *name, FlatReg *reg)
{
    for (unsigned i = 0; i < 16; i++) {
        const char *full = gpr64[i];
        size_t n = strlen(full);

        *reg = (FlatReg) { FLAT_GPR, i, 64 };
        if (strcmp(name, full) == 0) {
            return true;
        }
        if (i >= 8 && strncmp(name, full, n) == 0 && strlen(name) == n + 1 &&
            strchr("dwb", name[n])) {
            reg->bits = name[n] == 'd' ? 32 : name[n] == 'w' ? 16 : 8;
            return true;
        }
        if (i < 8 && name[0] == 'e' && strcmp(name + 1, full + 1) == 0) {
            reg->bits = 32;
            return true;
        }
        if (i < 8 && strcmp(name, full + 1) == 0) {
            reg->bits = 16;
            return true;
        }
        if (i < 4 && name[0] == full[1] && strcmp(name + 1, "l") == 0) {
            reg->bits = 8;
            return true;
        }
    }
    return false;
}

static bool flat_find_reg(const char *name, FlatReg *reg)
{
    if (flat_find_gpr(name, reg)) {
        return true;
    }
    if (strcmp(name, "rip") == 0 || strcmp(name, "eip") == 0) {
        *reg = (FlatReg) { FLAT_RIP, 0, name[0] == 'r' ? 64 : 32 };
        return true;
    }
    if (strcmp(name, "rflags") == 0 || strcmp(name, "eflags") == 0) {
        *reg = (FlatReg) { FLAT_RFLAGS, 0, name[0] == 'r' ? 64 : 32 };
        return true;
    }
    for (unsigned i = 0; i < S_COUNT; i++) {
        if (strcmp(name, seg_names[i]) == 0) {
            *reg = (FlatReg) { FLAT_SEG, i, 16 };
            return true;
        }
    }
    if (name[0] == 'c' && name[1] == 'r' && strchr("0234", name[2]) &&
        name[2] && name[3] == '\0') {
        *reg = (FlatReg) { FLAT_CR, name[2] - '0', 64 };
        return true;
    }
    return false;
}

static uint64_t flat_read_reg(const X86State *s, const FlatReg *reg)
{
    uint64_t v = 0;

    switch (reg->kind) {
    case FLAT_GPR:
        v = s->gpr[reg->index];
        break;
    case FLAT_RIP:
        v = s->rip;
        break;
    case FLAT_RFLAGS:
        v = s->rflags;
        break;
    case FLAT_SEG:
        v = s->seg[reg->index].sel;
        break;
    case FLAT_CR:
        v = reg->index == 0   ? s->cr0
            : reg->index == 2 ? s->cr2
            : reg->index == 3 ? s->cr3
                              : s->cr4;
        break;
    }
    return reg->bits == 64 ? v : v & ((UINT64_C(1) << reg->bits) - 1);
}

/* A number, or a negative one as two's complement of @bits bits. */
static bool flat_number(const char *text, unsigned bits, uint64_t *out,
                        GError **errp)
{
    bool negative = text[0] == '-';
    uint64_t max = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

    if (!parse_u64(text + negative, out, NULL) || *out > max) {
        error_setg(errp, "-flat: '%s' is not a number of %u bits", text, bits);
        return false;
    }
    if (negative) {
        *out = -*out & max;
    }
    return true;
}

/* ---- options ------------------------------------------------------------------------ */

typedef struct FlatExpect {
    char name[8];
    FlatReg reg;
    uint64_t value;
} FlatExpect;

struct FlatBoot {
    Machine *machine;
    BootPlan *plan;
    const BootEnv *env; /* while building */
    GArray *expects;    /* of FlatExpect */
    uint64_t limit;     /* seconds; 0: none */
    bool has_mode;
    BootMode mode;
    bool has_entry, has_rsp;
    uint64_t entry;
    bool ended;
    bool started; /* a reset after this was the guest's */
    Timer timer;
};

/* What one -flat said of its file. */
typedef struct FlatFile {
    char *file;
    bool has_addr;
    uint64_t addr;
} FlatFile;

const char *flat_help(void)
{
    return "-flat file=F,addr=A,mode=real|protected|long[,entry=E][,limit=N]\n"
           "      [,REG=V...][,expect=REG:V[/REG:V...]]\n"
           "  file=F    flat binary, or an ELF file (addr= and mode= are its own)\n"
           "  addr=A    physical address of a flat binary\n"
           "  mode=M    real: CS base 0, or entry/16 from 64 KiB on\n"
           "            protected: 32-bit, flat segments, no paging\n"
           "            long: 64-bit, 4 GiB mapped one to one, SSE on\n"
           "  entry=E   where it starts (addr)\n"
           "  rax=V     a register at the start: rax..r15, rflags\n"
           "  expect=   a register when it has halted with interrupts off;\n"
           "            differences are printed and the exit status is 1\n"
           "  limit=N   seconds of guest time after which it has failed\n"
           "            (instructions are not counted)\n";
}

static bool flat_mode(FlatBoot *f, const char *value, GError **errp)
{
    static const char *const names[] = { "real", "protected", "long", NULL };
    static const BootMode modes[] = { BOOT_REAL, BOOT_PROTECTED, BOOT_LONG };

    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(value, names[i]) == 0) {
            f->mode = modes[i];
            f->has_mode = true;
            return true;
        }
    }
    error_setg(errp, "-flat: mode must be real, protected or long, not '%s'",
               value);
    return false;
}

/* "rax:6/rbx:2". */
static bool flat_expect(FlatBoot *f, const char *value, GError **errp)
{
    g_auto(GStrv) words = g_strsplit(value, "/", -1);

    for (unsigned i = 0; words[i]; i++) {
        char *colon = strchr(words[i], ':');
        FlatExpect e = { .value = 0 };

        if (!colon) {
            error_setg(errp,
                       "-flat: expect=%s: write REGISTER:VALUE, like "
                       "rax:6",
                       words[i]);
            return false;
        }
        *colon = '\0';
        if (!flat_find_reg(words[i], &e.reg)) {
            error_setg(errp,
                       "-flat: expect names no register '%s': rax..r15, eax, "
                       "ax, al, rip, rflags, cs, cr0 and the like are",
                       words[i]);
            return false;
        }
        if (!flat_number(colon + 1, e.reg.bits, &e.value, errp)) {
            return false;
        }
        g_strlcpy(e.name, words[i], sizeof(e.name));
        g_array_append_val(f->expects, e);
    }
    return true;
}

static bool flat_register(FlatBoot *f, const char *key, const char *value,
                          GError **errp)
{
    FlatReg reg;
    uint64_t v;

    if (!flat_find_reg(key, &reg) ||
        (reg.kind != FLAT_GPR && reg.kind != FLAT_RFLAGS)) {
        static const char *const known[] = { "file",   "addr",  "mode",
                                             "entry",  "limit", "expect",
                                             "rflags", NULL };
        g_autofree char *hint = did_you_mean(key, known, ": ");

        error_setg(errp, "-flat: unknown option '%s'%s", key, hint);
        return false;
    }
    if (!flat_number(value, reg.bits, &v, errp)) {
        return false;
    }
    if (reg.kind == FLAT_RFLAGS) {
        f->plan->rflags = v;
    } else {
        f->plan->gpr[reg.index] = v;
        f->has_rsp |= reg.index == R_RSP;
    }
    return true;
}

static bool flat_option(FlatBoot *f, FlatFile *file, const char *key,
                        const char *value, GError **errp)
{
    if (strcmp(key, "file") == 0) {
        g_free(file->file);
        file->file = g_strdup(value);
        return true;
    }
    if (strcmp(key, "addr") == 0) {
        file->has_addr = true;
        return flat_number(value, 64, &file->addr, errp);
    }
    if (strcmp(key, "entry") == 0) {
        f->has_entry = true;
        return flat_number(value, 64, &f->entry, errp);
    }
    if (strcmp(key, "limit") == 0) {
        if (!flat_number(value, 32, &f->limit, errp)) {
            return false;
        }
        if (f->limit == 0) {
            error_setg(errp, "-flat: limit must be 1 second or more");
            return false;
        }
        return true;
    }
    if (strcmp(key, "mode") == 0) {
        return flat_mode(f, value, errp);
    }
    if (strcmp(key, "expect") == 0) {
        return flat_expect(f, value, errp);
    }
    return flat_register(f, key, value, errp);
}

/* Commas separate, ",," is one comma. Not a KeyVal: expect= may repeat. */
static bool flat_parse(FlatBoot *f, FlatFile *file, const char *text,
                       GError **errp)
{
    g_autoptr(GString) word = g_string_new(NULL);

    for (const char *p = text;; p++) {
        char *eq;

        if (*p && (*p != ',' || p[1] == ',')) {
            g_string_append_c(word, *p);
            p += *p == ',';
            continue;
        }
        eq = strchr(word->str, '=');
        if (word->len && !eq) {
            error_setg(errp, "-flat: '%s' is no option: write NAME=VALUE",
                       word->str);
            return false;
        }
        if (word->len) {
            *eq = '\0';
            if (!flat_option(f, file, word->str, eq + 1, errp)) {
                return false;
            }
        }
        g_string_truncate(word, 0);
        if (!*p) {
            return true;
        }
    }
}

/* ---- loading ------------------------------------------------------------------------- */

static bool flat_load_elf(FlatBoot *f, GBytes *image, const char *name,
                          GError **errp)
{
    ElfImage elf;
    bool ok;

    if (!elf_parse(&elf, image, name, errp)) {
        return false;
    }
    ok = elf_place(&elf, f->plan, f->env->e820, 0, image, name, errp);
    if (!f->has_mode) {
        f->has_mode = true;
        f->mode = elf.bits == 64 ? BOOT_LONG : BOOT_PROTECTED;
    }
    if (!f->has_entry) {
        f->has_entry = true;
        f->entry = elf.entry;
    }
    elf_clear(&elf);
    return ok;
}

static bool flat_load(FlatBoot *f, const FlatFile *file, GError **errp)
{
    g_autoptr(GBytes) image = NULL;
    uint64_t len;

    if (!file->file) {
        error_setg(errp, "-flat: file= is missing");
        return false;
    }
    image = boot_read_file(f->plan, "flat", file->file, errp);
    if (!image) {
        return false;
    }
    if (elf_is(image)) {
        return flat_load_elf(f, image, file->file, errp);
    }
    len = g_bytes_get_size(image);
    if (!file->has_addr) {
        error_setg(errp, "-flat: addr= is missing for '%s'", file->file);
        return false;
    }
    if (!e820_is_ram(f->env->e820, file->addr, len)) {
        g_autofree char *ram = e820_describe_ram(f->env->e820);

        error_setg(errp,
                   "-flat: %" PRIu64 " bytes of '%s' at 0x%" PRIx64
                   " are outside RAM (%s)",
                   len, file->file, file->addr, ram);
        return false;
    }
    boot_plan_add(f->plan, file->addr, len, image);
    if (!f->has_entry) {
        f->has_entry = true;
        f->entry = file->addr;
    }
    return true;
}

static bool flat_read_option(FlatBoot *f, const char *text, GError **errp)
{
    FlatFile file = { .file = NULL };
    bool ok = flat_parse(f, &file, text, errp) && flat_load(f, &file, errp);

    g_free(file.file);
    return ok;
}

static void flat_plan_vectors(FlatBoot *f)
{
    uint8_t vectors[1024], hlts[256];
    g_autoptr(GBytes) ivt = NULL;
    g_autoptr(GBytes) table = NULL;

    for (unsigned i = 0; i < 256; i++) {
        st_le16(vectors + i * 4, (BOOT_HLT_TABLE & 0xffff) + i);
        st_le16(vectors + i * 4 + 2, 0xf000);
    }
    memset(hlts, 0xf4, sizeof(hlts));
    ivt = g_bytes_new(vectors, sizeof(vectors));
    table = g_bytes_new(hlts, sizeof(hlts));
    boot_plan_add(f->plan, 0, sizeof(vectors), ivt);
    boot_plan_add(f->plan, BOOT_HLT_TABLE, sizeof(hlts), table);
}

static bool flat_finish_plan(FlatBoot *f, GError **errp)
{
    static const char *const protocols[] = { [BOOT_REAL] = "flat, real mode",
                                             [BOOT_PROTECTED] =
                                                 "flat, protected mode",
                                             [BOOT_LONG] = "flat, long mode" };

    if (!f->has_mode) {
        error_setg(errp, "-flat: mode= is missing: real, protected or long");
        return false;
    }
    if (f->mode == BOOT_REAL && f->entry >= MIB) {
        error_setg(errp,
                   "-flat: entry 0x%" PRIx64 " is out of reach of real mode",
                   f->entry);
        return false;
    }
    if (f->mode != BOOT_REAL && f->entry >= 4 * GIB) {
        error_setg(errp, "-flat: entry 0x%" PRIx64 " is not below 4 GiB",
                   f->entry);
        return false;
    }
    f->plan->protocol = protocols[f->mode];
    f->plan->mode = f->mode;
    f->plan->entry = f->entry;
    if (f->mode == BOOT_LONG) {
        f->plan->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    }
    if (!f->has_rsp) {
        f->plan->gpr[R_RSP] = f->mode == BOOT_REAL ? 0xfff0 : BOOT_STACK;
    }
    return true;
}

/* ---- running -------------------------------------------------------------------------- */

static void flat_end(FlatBoot *f, int status)
{
    if (!f->ended) {
        f->ended = true;
        timer_cancel(&f->timer);
        machine_request_shutdown(f->machine, status);
    }
}

static unsigned flat_compare(const FlatBoot *f, const X86State *s)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < f->expects->len; i++) {
        const FlatExpect *e = &g_array_index(f->expects, FlatExpect, i);
        uint64_t v = flat_read_reg(s, &e->reg);

        if (v != e->value) {
            error_report("flat: %s is 0x%" PRIx64 " (%" PRIu64
                         "), expected 0x%" PRIx64 " (%" PRIu64 ")",
                         e->name, v, v, e->value, e->value);
            wrong++;
        }
    }
    return wrong;
}

/* True if @s halted in the table of unhandled interrupts; says so. */
static bool flat_unhandled(const FlatBoot *f, const X86State *s)
{
    uint64_t off = s->seg[S_CS].base + s->rip - 1 - BOOT_HLT_TABLE;
    uint8_t frame[4] = { 0 };

    if (f->mode != BOOT_REAL || s->cr0 & CR0_PE || off > 0xff) {
        return false;
    }
    as_read(f->machine->mem, s->seg[S_SS].base + (s->gpr[R_RSP] & 0xffff),
            frame, 4);
    error_report("flat: interrupt 0x%02x at %04x:%04x has no handler",
                 (unsigned)off, ld_le16(frame + 2), ld_le16(frame));
    return true;
}

/* In the vCPU's thread. Interrupts may be on: then it only waits. */
void flat_halted(FlatBoot *f, X86Cpu *cpu)
{
    machine_lock(f->machine);
    if (cpu->index == 0 && !f->ended && !(cpu_state(cpu)->rflags & FL_IF)) {
        const X86State *s = cpu_state(cpu);

        flat_end(f, flat_unhandled(f, s) || flat_compare(f, s) ? 1 : 0);
    }
    machine_unlock(f->machine);
}

static void flat_timeout(void *opaque)
{
    FlatBoot *f = opaque;

    if (!f->ended) {
        error_report("flat: not halted after %" PRIu64 " s", f->limit);
        flat_end(f, 1);
    }
}

/* The program is over when it resets the machine: a triple fault, mostly. */
void flat_reset(FlatBoot *f)
{
    if (f->started && !f->ended && f->machine->reset_cause != RESET_HOST) {
        error_report("flat: %s before it halted",
                     f->machine->reset_cause == RESET_TRIPLE_FAULT
                         ? "triple fault (-d int tells why)"
                         : "the program reset the machine");
        flat_end(f, 1);
        return;
    }
    f->started = true;
    f->ended = false;
    if (f->limit) {
        timer_arm(&f->timer, clock_ns(f->machine->vclock) +
                                 (int64_t)f->limit * NS_PER_SEC);
    }
}

FlatBoot *flat_new(Machine *m, const BootEnv *env, BootPlan *plan,
                   GError **errp)
{
    FlatBoot *f = g_new0(FlatBoot, 1);

    f->machine = m;
    f->plan = plan;
    f->env = env;
    f->expects = g_array_new(FALSE, FALSE, sizeof(FlatExpect));
    timer_init(&f->timer, m->vclock, flat_timeout, f);
    flat_plan_vectors(f); /* first: a program may bring its own */
    for (unsigned i = 0; i < m->cfg.flat->len; i++) {
        if (!flat_read_option(f, g_ptr_array_index(m->cfg.flat, i), errp)) {
            flat_free(f);
            return NULL;
        }
    }
    if (!flat_finish_plan(f, errp)) {
        flat_free(f);
        return NULL;
    }
    f->env = NULL;
    m->cfg.no_reboot = false; /* flat_reset() ends it, with a status */
    return f;
}

void flat_free(FlatBoot *f)
{
    if (!f) {
        return;
    }
    timer_cancel(&f->timer);
    g_array_unref(f->expects);
    g_free(f);
}
