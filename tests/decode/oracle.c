/*
 * Capstone 4 and zydis 4 as judges of the decoder.
 *
 * Both are wrong in places, and each knows instructions that we do not have:
 * the table of excuses at the end says which and why. An excuse is for a
 * mnemonic or for a property of the bytes, never for "anything".
 */
#include "util/osdep.h"
#include <capstone/capstone.h>
#if CONFIG_ZYDIS
#include <Zydis/Zydis.h>
#endif
#include "tests/decode/oracle.h"

/* ---- capstone --------------------------------------------------------------- */

static Opinion ask_capstone(const uint8_t *p, size_t n, unsigned code_bits)
{
    static csh handle[3];
    static cs_insn *insn;
    unsigned i = code_bits / 32;
    uint64_t pc = 0x1000;
    Opinion o = { .valid = false };
    const char *name;

    if (!handle[i]) {
        static const cs_mode mode[] = { CS_MODE_16, CS_MODE_32, CS_MODE_64 };

        g_assert(cs_open(CS_ARCH_X86, mode[i], &handle[i]) == CS_ERR_OK);
        insn = insn ? insn : cs_malloc(handle[i]);
    }
    if (cs_disasm_iter(handle[i], &p, &n, &pc, insn)) {
        name = strrchr(insn->mnemonic, ' ');
        o.valid = true;
        o.len = insn->size;
        g_strlcpy(o.name, name ? name + 1 : insn->mnemonic, sizeof(o.name));
    }
    return o;
}

/* ---- zydis ------------------------------------------------------------------ */

#if CONFIG_ZYDIS
static void zydis_init(ZydisDecoder *d, unsigned code_bits)
{
    /* What those bytes do on a processor without the extension. */
    static const ZydisDecoderMode off[] = { ZYDIS_DECODER_MODE_MPX,
                                            ZYDIS_DECODER_MODE_CET,
                                            ZYDIS_DECODER_MODE_CLDEMOTE };

    if (code_bits == 64) {
        ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    } else if (code_bits == 32) {
        ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    } else {
        ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(off); i++) {
        ZydisDecoderEnableMode(d, off[i], ZYAN_FALSE);
    }
    ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_TRUE);
}

static Opinion ask_zydis(const uint8_t *p, size_t n, unsigned code_bits)
{
    static ZydisDecoder decoder[3];
    static bool ready[3];
    unsigned i = code_bits / 32;
    ZydisDecodedInstruction insn;
    Opinion o = { .valid = false };

    if (!ready[i]) {
        zydis_init(&decoder[i], code_bits);
        ready[i] = true;
    }
    if (ZYAN_SUCCESS(
            ZydisDecoderDecodeInstruction(&decoder[i], NULL, p, n, &insn))) {
        o.valid = true;
        o.len = insn.length;
        g_strlcpy(o.name, ZydisMnemonicGetString(insn.mnemonic),
                  sizeof(o.name));
    }
    return o;
}
#else
static Opinion ask_zydis(const uint8_t *p, size_t n, unsigned code_bits)
{
    return (Opinion) { .valid = false };
}
#endif

bool oracle_have(OracleKind kind)
{
    return kind == ORACLE_CAPSTONE || CONFIG_ZYDIS;
}

Opinion oracle_ask(OracleKind kind, const uint8_t *p, size_t n,
                   unsigned code_bits)
{
    return kind == ORACLE_CAPSTONE ? ask_capstone(p, n, code_bits)
                                   : ask_zydis(p, n, code_bits);
}

/* ---- names ------------------------------------------------------------------ */

/* Other names of a row; a leading = matches any name that starts so. */
static const struct {
    const char *ours, *theirs;
} alias[] = {
    { "je", "jz" },
    { "jne", "jnz" },
    { "jae", "jnb" },
    { "ja", "jnbe" },
    { "jge", "jnl" },
    { "jg", "jnle" },
    { "cmove", "cmovz" },
    { "cmovne", "cmovnz" },
    { "cmovae", "cmovnb" },
    { "cmova", "cmovnbe" },
    { "cmovge", "cmovnl" },
    { "cmovg", "cmovnle" },
    { "sete", "setz" },
    { "setne", "setnz" },
    { "setae", "setnb" },
    { "seta", "setnbe" },
    { "setge", "setnl" },
    { "setg", "setnle" },
    { "mov", "movabs" },
    { "shl", "sal" },
    { "cbw", "cwde cdqe" },
    { "cwd", "cdq cqo" },
    { "pusha", "pushaw pushal pushad" },
    { "popa", "popaw popal popad" },
    { "pushf", "pushfd pushfq" },
    { "popf", "popfd popfq" },
    { "iret", "iretd iretq" },
    { "callf", "call lcall" },
    { "jmpf", "jmp ljmp" },
    { "retf", "ret far retfq" },
    { "sysret", "sysretq" },
    { "sysexit", "sysexitq" },
    { "jrcxz", "jcxz jecxz" },
    { "loope", "loopz" },
    { "loopne", "loopnz" },
    { "xlat", "xlatb" },
    { "fwait", "wait" },
    { "icebp", "int1" },
    { "movs", "movsb movsw movsd movsq" },
    { "cmps", "cmpsb cmpsw cmpsd cmpsq" },
    { "stos", "stosb stosw stosd stosq" },
    { "lods", "lodsb lodsw lodsd lodsq" },
    { "scas", "scasb scasw scasd scasq" },
    { "ins", "insb insw insd" },
    { "outs", "outsb outsw outsd" },
    { "movd", "movq" },
    { "vmovd", "vmovq" },
    { "pextrd", "pextrq" },
    { "vpextrd", "vpextrq" },
    { "pinsrd", "pinsrq" },
    { "vpinsrd", "vpinsrq" },
    { "cmpps", "=cmp" },
    { "cmppd", "=cmp" },
    { "cmpss", "=cmp" },
    { "cmpsd", "=cmp" },
    { "vcmpps", "=vcmp" },
    { "vcmppd", "=vcmp" },
    { "vcmpss", "=vcmp" },
    { "vcmpsd", "=vcmp" },
    { "pclmulqdq", "=pclmul" },
    { "vpclmulqdq", "=vpclmul" },
    { "fxsave", "fxsave64" },
    { "fxrstor", "fxrstor64" },
    { "xsave", "xsave64" },
    { "xrstor", "xrstor64" },
    { "xsaveopt", "xsaveopt64" },
    { "xsavec", "xsavec64" },
    { "xsaves", "xsaves64" },
    { "xrstors", "xrstors64" },
    { "vcvtpd2ps", "vcvtpd2psx" },
    { "vcvtpd2dq", "vcvtpd2dqx" },
    { "vcvttpd2dq", "vcvttpd2dqx" },
    { "fneni", "feni8087_nop" },
    { "fndisi", "fdisi8087_nop" },
    { "fnsetpm", "fsetpm fsetpm287_nop" },
    { "fstpnce", "fstp fstp1" },
    { "prefetchwt1", "prefetch prefetchw" },
    { "prefetchw", "prefetch" },
    { "prefetch", "prefetchw prefetch_exclusive" },
};

static bool name_in(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = strstr(list, name); p; p = strstr(p + 1, name)) {
        if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) {
            return true;
        }
    }
    return false;
}

bool oracle_same_name(const Insn *in, const char *name)
{
    char ours[32];
    unsigned i;

    for (i = 0; insn_rows[in->id].name[i]; i++) {
        ours[i] = g_ascii_tolower(insn_rows[in->id].name[i]);
    }
    ours[i] = 0;
    if (!strcmp(ours, name)) {
        return true;
    }
    for (i = 0; i < G_N_ELEMENTS(alias); i++) {
        const char *theirs = alias[i].theirs;

        if (!strcmp(alias[i].ours, ours) &&
            (theirs[0] == '=' ? g_str_has_prefix(name, theirs + 1)
                              : name_in(theirs, name))) {
            return true;
        }
    }
    return false;
}

/* ---- excuses ------------------------------------------------------------------ */

/* What precedes the opcode. */
typedef struct Prefixes {
    unsigned n66, n67, n_rep, n; /* legacy prefixes; rep: F2 and F3 */
    unsigned n_rex;
    bool lock, rex;
    uint8_t last; /* legacy prefix right before REX and opcode */
    uint8_t opcode[2];
    bool vex_w, vex_v3; /* if it is VEX: W, high bit of vvvv */
} Prefixes;

static Prefixes scan(const uint8_t *p, size_t n, unsigned code_bits)
{
    static const uint8_t legacy[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                      0x66, 0x67, 0xf0, 0xf2, 0xf3 };
    Prefixes x = { 0 };

    for (size_t i = 0; i < n; i++) {
        if (code_bits == 64 && (p[i] & 0xf0) == 0x40) {
            x.rex = true;
            x.n_rex++;
        } else if (memchr(legacy, p[i], sizeof(legacy))) {
            x.rex = false;
            x.n++;
            x.n66 += p[i] == 0x66;
            x.n67 += p[i] == 0x67;
            x.n_rep += p[i] == 0xf2 || p[i] == 0xf3;
            x.lock |= p[i] == 0xf0;
            x.last = p[i];
        } else {
            x.opcode[0] = p[i];
            x.opcode[1] = i + 1 < n ? p[i + 1] : 0;
            x.vex_w = i + 2 < n && p[i + 2] & 0x80;
            x.vex_v3 = i + 2 < n && !(p[i + 2] & 0x40);
            break;
        }
    }
    return x;
}

/* Extensions that we do not have, so that they are #UD here. */
static const char not_ours[] =
    /* 3DNow! */
    "femms pavgusb pf2id pf2iw pfacc pfadd pfcmpeq pfcmpge pfcmpgt pfmax pfmin "
    "pfmul pfnacc pfpnacc pfrcp pfrcpit1 pfcpit1 pfrcpit2 pfrsqit1 pfrsqrt "
    "pfsqrt pfsub pfsubr pi2fd pi2fw pmulhrw pswapd "
    /* VMX, SVM, SMX, SGX */
    "invept invvpid vmfunc vmlaunch vmresume vmxoff vmxon vmread vmwrite "
    "vmptrld vmptrst vmclear clgi stgi invlpga skinit vmload vmrun vmsave "
    "vmcall vmmcall "
    /* VIA */
    "montmul xcryptcbc xcryptcfb xcryptctr xcryptecb xcryptofb xsha1 xsha256 "
    "xstore xstorerng xcrypt_ecb xcrypt_cbc xcrypt_ctr xcrypt_cfb xcrypt_ofb "
    "getsec encls enclu enclv "
    /* TSX */
    "xabort xbegin xend xtest "
    /* other extensions */
    "clzero monitorx mwaitx mcommit rdpru ptwrite tpause umonitor umwait "
    "enqcmd enqcmds movdiri movdir64b serialize xresldtrk xsusldtrk pconfig "
    "aesdec128kl aesdec256kl aesenc128kl aesenc256kl aesdecwide128kl "
    "aesencwide128kl aesdecwide256kl aesencwide256kl loadiwkey encodekey128 encodekey256 "
    "incsspd incsspq rstorssp saveprevssp setssbsy clrssbsy wrssd wrssq "
    "wrussd wrussq gf2p8affineinvqb gf2p8affineqb gf2p8mulb "
    "vgf2p8affineinvqb vgf2p8affineqb vgf2p8mulb "
    "clui stui testui uiret senduipi rmpadjust rmpupdate pvalidate psmash "
    "invlpgb tlbsync pbndkb seamcall seamops seamret tdcall hreset "
    "jmpe "
    /* opmask registers */
    "kunpckbw kandnb jkzd jknzd ";

static const char knights[] = "jkzd jknzd lzcnt tzcnt popcnt tzcnti spflt "
                              "delay clevict0 clevict1";

/* VEX-coded, but of AVX-512, AMX, AVX-VNNI, VAES, FMA4, XOP, Knights. */
static bool not_ours_vector(const Prefixes *x, const char *name)
{
    return x->opcode[0] == 0x62 || x->opcode[0] == 0x8f ||
           ((x->opcode[0] == 0xc4 || x->opcode[0] == 0xc5) &&
            (name[0] == 'k' || name[0] == 't' || name_in(knights, name) ||
             g_str_has_prefix(name, "vpdp") || g_str_has_prefix(name, "vaes") ||
             g_str_has_prefix(name, "vfm") || g_str_has_prefix(name, "vfnm") ||
             g_str_has_prefix(name, "vpclmul") ||
             g_str_has_prefix(name, "vprefetch") ||
             g_str_has_prefix(name, "vpermil2")));
}

/* Rows that capstone 4 does not know, or not in every form. */
static const char capstone_lacks[] =
    "WBNOINVD RDPID RDPKRU WRPKRU UD0 UD1 PREFETCH PREFETCHW PREFETCHWT1 NOP "
    "CLWB CLFLUSHOPT LFENCE MFENCE SFENCE VBROADCASTI128 ";

static bool near_branch(const Insn *in)
{
    uint32_t attr = insn_rows[in->id].attr;

    return attr & IA_JUMP && attr & IA_F64;
}

static bool names_odd_register(const Prefixes *x)
{
    return x->opcode[0] == 0x8c || x->opcode[0] == 0x8e ||
           (x->opcode[0] == 0x0f && (x->opcode[1] & 0xfc) == 0x20);
}

static const char *capstone_accepts(const Prefixes *x, unsigned code_bits,
                                    const char *name)
{
    bool vex = x->opcode[0] == 0xc4 || x->opcode[0] == 0xc5;

    if (x->lock) {
        return "does not check LOCK";
    }
    if (x->n66 + x->n_rep && (x->opcode[0] == 0x0f || vex)) {
        return "ignores a mandatory prefix without meaning";
    }
    if (x->opcode[0] == 0xc4 && code_bits != 64 && x->vex_v3) {
        return "ignores bit 3 of vvvv";
    }
    if (vex && (x->n || x->rex)) {
        return "takes other prefixes before VEX";
    }
    if (x->n67 && x->rex) {
        return "confuses 67 before a REX.W with 66";
    }
    if (x->opcode[0] == 0xc4 && x->opcode[1] & 2 && x->vex_w) {
        return "ignores VEX.W";
    }
    if (!strcmp(name, "swapgs")) {
        return "takes it in any mode";
    }
    if (strstr(name, "gather")) {
        return "does not compare the registers of a gather";
    }
    if (names_odd_register(x)) {
        return "takes registers that do not exist";
    }
    return NULL;
}

static const char *capstone_differs(const Prefixes *x, unsigned code_bits,
                                    const Insn *in)
{
    bool special = x->n66 + x->n_rep > 0;
    bool map2 = x->opcode[0] == 0x0f;

    if (code_bits == 16 && special && map2) {
        return "knows no mandatory prefixes in 16-bit code";
    }
    if (special && map2 && (x->last < 0xf2 && x->last != 0x66)) {
        return "wants the mandatory prefix right before the opcode";
    }
    if (x->n66 + x->n_rep > 1 || x->n_rex > 1) {
        return "takes one of several prefixes by its place";
    }
    if (x->n67 && x->rex) {
        return "confuses 67 before a REX.W with 66";
    }
    if (x->opcode[0] == 0x90) {
        return "knows only the plain PAUSE";
    }
    if (x->n66 && code_bits == 64 && near_branch(in)) {
        return "shortens near branches as AMD does";
    }
    if (x->rex && !strcmp(insn_rows[in->id].name, "MOVQ")) {
        return "calls MOVQ with REX.W MOVD";
    }
    if (x->rex && names_odd_register(x)) {
        return "does not ignore REX.R for segment registers";
    }
    if (name_in(capstone_lacks, insn_rows[in->id].name)) {
        return "does not know it";
    }
    return NULL;
}

const char *oracle_excuse(OracleKind kind, const uint8_t *p, size_t n,
                          unsigned code_bits, DecodeResult ours, const Insn *in,
                          const Opinion *theirs)
{
    Prefixes x = scan(p, n, code_bits);

    if (theirs->valid && ours == DECODE_UD &&
        (name_in(not_ours, theirs->name) ||
         not_ours_vector(&x, theirs->name))) {
        return "not emulated";
    }
    if (kind == ORACLE_CAPSTONE) {
        return ours == DECODE_OK
                   ? capstone_differs(&x, code_bits, in)
                   : capstone_accepts(&x, code_bits, theirs->name);
    }
    if (ours == DECODE_OK && !strcmp(theirs->name, "wbinvd") && x.n_rep) {
        return "zydis 4.0 does not find WBNOINVD";
    }
    if (ours == DECODE_OK && x.opcode[0] == 0x90 &&
        !strcmp(theirs->name, "pause")) {
        return "F3 41 90 is XCHG on hardware";
    }
    return NULL;
}
