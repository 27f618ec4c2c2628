/*
 * Linux: the 32- and 64-bit boot protocols. Documentation/x86/boot.rst.
 *
 * The setup code of a bzImage is not run; only its header is read and copied
 * into the zero page ("boot_params", Documentation/x86/zero-page.rst). The
 * protected-mode part goes to 1 MiB (or code32_start), moves itself where it
 * wants to be and needs init_size bytes there: that is checked here, because a
 * kernel that overwrites its initrd fails much later and far less clearly.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "hw/i386/boot.h"

/* Offsets in the zero page; those from 1F1 on are also offsets in the file. */
enum {
    BP_EXT_MEM_K = 0x002,
    BP_VIDEO_COLS = 0x007,
    BP_VIDEO_LINES = 0x00e,
    BP_RSDP = 0x070,
    BP_EXT_RAMDISK_IMAGE = 0x0c0,
    BP_EXT_RAMDISK_SIZE = 0x0c4,
    BP_ALT_MEM_K = 0x1e0,
    BP_E820_ENTRIES = 0x1e8,
    BP_SETUP_SECTS = 0x1f1,
    BP_SYSSIZE = 0x1f4,
    BP_BOOT_FLAG = 0x1fe,
    BP_HEADER_JUMP = 0x201, /* operand of the jump: length of the header */
    BP_MAGIC = 0x202,
    BP_VERSION = 0x206,
    BP_LOADER = 0x210,
    BP_LOADFLAGS = 0x211,
    BP_CODE32_START = 0x214,
    BP_RAMDISK_IMAGE = 0x218,
    BP_RAMDISK_SIZE = 0x21c,
    BP_CMD_LINE_PTR = 0x228,
    BP_INITRD_ADDR_MAX = 0x22c,
    BP_XLOADFLAGS = 0x236,
    BP_CMDLINE_SIZE = 0x238,
    BP_SETUP_DATA = 0x250,
    BP_PREF_ADDRESS = 0x258,
    BP_INIT_SIZE = 0x260,
    BP_HEADER_END = 0x290, /* where the zero page has other things again */
    BP_E820_TABLE = 0x2d0,
    BP_SIZE = 0x1000,
};

enum {
    LOADED_HIGH = 1 << 0,
    XLF_KERNEL_64 = 1 << 0,
    LOADER_ID = 0xb0, /* QEMU's; kernels print it and no more */
    SETUP_DTB = 2,
    SETUP_RNG_SEED = 9,
    SETUP_DATA_HEADER = 16,
    RNG_SEED_LEN = 32,
    DEFAULT_LOAD = 0x100000,
};

/* ---- the zero page ------------------------------------------------------------- */

static void linux_fill_e820(uint8_t *page, const E820 *e820)
{
    uint64_t ext_k = e820_high_memory_end(e820) / 1024 - 1024;

    page[BP_E820_ENTRIES] = e820->n;
    for (unsigned i = 0; i < e820->n; i++) {
        uint8_t *e = page + BP_E820_TABLE + i * 20;

        st_le64(e, e820->entry[i].addr);
        st_le64(e + 8, e820->entry[i].size);
        st_le32(e + 16, e820->entry[i].type);
    }
    st_le16(page + BP_EXT_MEM_K, MIN(ext_k, 0xfc00));
    st_le32(page + BP_ALT_MEM_K, MIN(ext_k, UINT32_MAX));
}

/* One node of the setup_data list in front of @next. */
static hwaddr linux_add_setup_data(BootPlan *plan, hwaddr next, uint32_t type,
                                   const void *data, uint32_t len,
                                   GError **errp)
{
    g_autofree uint8_t *node = g_malloc0((size_t)SETUP_DATA_HEADER + len);

    st_le64(node, next);
    st_le32(node + 8, type);
    st_le32(node + 12, len);
    if (data) {
        memcpy(node + SETUP_DATA_HEADER, data, len);
    }
    return boot_plan_place(plan, node, (size_t)SETUP_DATA_HEADER + len, 8,
                           errp);
}

/* The device tree is large: it gets RAM at the top, as the initrd does. */
static hwaddr linux_add_dtb(BootPlan *plan, const BootEnv *env, hwaddr next,
                            GError **errp)
{
    size_t len = g_bytes_get_size(env->dtb);
    uint8_t head[SETUP_DATA_HEADER];
    g_autoptr(GBytes) bytes = NULL;
    uint64_t addr;

    if (len > 16 * MIB ||
        !boot_find_high(plan, env, len + SETUP_DATA_HEADER, 4 * GIB, &addr)) {
        error_setg(errp, "the device tree of -dtb does not fit into memory");
        return 0;
    }
    st_le64(head, next);
    st_le32(head + 8, SETUP_DTB);
    st_le32(head + 12, len);
    bytes = g_bytes_new(head, sizeof(head));
    boot_plan_add(plan, addr, sizeof(head), bytes);
    boot_plan_add(plan, addr + SETUP_DATA_HEADER, len, env->dtb);
    return addr;
}

/* The list from its end: seed, then device tree. */
static bool linux_setup_data(BootPlan *plan, const BootEnv *env, hwaddr *list,
                             GError **errp)
{
    *list =
        linux_add_setup_data(plan, 0, SETUP_RNG_SEED, NULL, RNG_SEED_LEN, errp);
    if (!*list) {
        return false;
    }
    plan->random_seed = *list + SETUP_DATA_HEADER;
    plan->random_len = RNG_SEED_LEN;
    if (env->dtb) {
        *list = linux_add_dtb(plan, env, *list, errp);
    }
    return *list != 0;
}

/* What a bzImage would have said, for kernels that come as plain ELF. */
static void linux_made_up_header(uint8_t *page)
{
    st_le16(page + BP_BOOT_FLAG, 0xaa55);
    memcpy(page + BP_MAGIC, "HdrS", 4);
    st_le16(page + BP_VERSION, 0x20c);
    page[BP_LOADFLAGS] = LOADED_HIGH;
    st_le32(page + 0x230, 0x1000000); /* kernel_alignment */
}

hwaddr boot_linux_params(BootPlan *plan, const BootEnv *env,
                         const uint8_t *setup_header, size_t header_len,
                         uint64_t initrd, uint64_t initrd_len, GError **errp)
{
    g_autofree uint8_t *page = g_malloc0(BP_SIZE);
    hwaddr cmdline, data = 0;

    if (setup_header) {
        memcpy(page + BP_SETUP_SECTS, setup_header, header_len);
    } else {
        linux_made_up_header(page);
    }
    cmdline =
        boot_plan_place(plan, env->cmdline, strlen(env->cmdline) + 1, 16, errp);
    if (!cmdline) {
        return 0;
    }
    if (ld_le16(page + BP_VERSION) >= 0x209) {
        if (!linux_setup_data(plan, env, &data, errp)) {
            return 0;
        }
        st_le64(page + BP_SETUP_DATA, data);
    }
    page[BP_LOADER] = LOADER_ID;
    page[BP_VIDEO_COLS] = 80;
    page[BP_VIDEO_LINES] = 25;
    st_le64(page + BP_RSDP, env->rsdp);
    st_le32(page + BP_CMD_LINE_PTR, cmdline);
    st_le32(page + BP_RAMDISK_IMAGE, initrd);
    st_le32(page + BP_RAMDISK_SIZE, initrd_len);
    st_le32(page + BP_EXT_RAMDISK_IMAGE, initrd >> 32);
    st_le32(page + BP_EXT_RAMDISK_SIZE, initrd_len >> 32);
    linux_fill_e820(page, env->e820);
    return boot_plan_place(plan, page, BP_SIZE, 4096, errp);
}

/* ---- bzImage --------------------------------------------------------------------- */

typedef struct LinuxImage {
    uint16_t version;
    size_t setup_len;        /* the protected-mode part begins here */
    size_t header_len;       /* from 1F1 */
    uint64_t load, need_end; /* physical; RAM below need_end is the kernel's */
    uint64_t initrd_max;     /* first byte an initrd may not touch */
    uint32_t cmdline_size;
    bool is_64bit;
} LinuxImage;

static bool linux_check_truncated(const LinuxImage *k, const uint8_t *p,
                                  size_t len, const char *name, GError **errp)
{
    uint64_t paras =
        k->version >= 0x204 ? ld_le32(p + BP_SYSSIZE) : ld_le16(p + BP_SYSSIZE);
    uint64_t want = k->setup_len + paras * 16;

    /* syssize is rounded up to 16 bytes, the file need not be. */
    if (len <= k->setup_len || (uint64_t)len + 15 < want) {
        error_setg(errp,
                   "kernel '%s' is truncated: %zu bytes, its header says "
                   "%" PRIu64,
                   name, len, MAX(want, k->setup_len + 1));
        return false;
    }
    return true;
}

/* Where the kernel will be while it unpacks itself. */
static void linux_read_layout(LinuxImage *k, const uint8_t *p, size_t len)
{
    uint64_t payload = len - k->setup_len;

    k->load = ld_le32(p + BP_CODE32_START);
    if (k->load == 0) {
        k->load = DEFAULT_LOAD;
    }
    k->need_end = k->load + payload;
    if (k->version >= 0x20a) {
        uint64_t run = MAX(ld_le64(p + BP_PREF_ADDRESS), k->load);
        uint32_t init_size = ld_le32(p + BP_INIT_SIZE);

        if (run <= UINT64_MAX - init_size) {
            k->need_end = MAX(k->need_end, run + init_size);
        } else {
            k->need_end = UINT64_MAX;
        }
    }
}

static bool linux_read_header(LinuxImage *k, const uint8_t *p, size_t len,
                              const char *name, GError **errp)
{
    unsigned sects = p[BP_SETUP_SECTS] ? p[BP_SETUP_SECTS] : 4;
    size_t header_end = 0x202 + p[BP_HEADER_JUMP];

    k->setup_len = (sects + 1) * 512;
    if (len < k->setup_len || len < BP_HEADER_END) {
        error_setg(errp,
                   "kernel '%s' is truncated: %zu bytes, its set-up code "
                   "alone has %zu",
                   name, len, k->setup_len);
        return false;
    }
    k->version = ld_le16(p + BP_VERSION);
    if (k->version < 0x202 || !(p[BP_LOADFLAGS] & LOADED_HIGH)) {
        error_setg(errp,
                   "kernel '%s' has boot protocol %u.%02u%s; a bzImage of "
                   "protocol 2.02 (Linux 2.4) or later is needed",
                   name, k->version >> 8, k->version & 0xff,
                   p[BP_LOADFLAGS] & LOADED_HIGH ? "" : " and is a zImage");
        return false;
    }
    k->header_len = MIN(header_end, BP_HEADER_END) - BP_SETUP_SECTS;
    k->is_64bit =
        k->version >= 0x20c && (ld_le16(p + BP_XLOADFLAGS) & XLF_KERNEL_64);
    k->cmdline_size = k->version >= 0x206 ? ld_le32(p + BP_CMDLINE_SIZE) : 255;
    k->initrd_max = k->version >= 0x203
                        ? (uint64_t)ld_le32(p + BP_INITRD_ADDR_MAX) + 1
                        : 0x38000000;
    return linux_check_truncated(k, p, len, name, errp);
}

static bool linux_check_fits(const LinuxImage *k, const BootEnv *env,
                             GError **errp)
{
    uint64_t end = e820_high_memory_end(env->e820);

    if (k->load < MIB || k->load >= end || k->need_end > end) {
        error_setg(errp,
                   "kernel '%s' needs memory up to %" PRIu64
                   " MiB, the machine has RAM up to %" PRIu64
                   " MiB there: give more with -m",
                   env->kernel_name, (k->need_end - 1) / MIB + 1, end / MIB);
        return false;
    }
    if (strlen(env->cmdline) > k->cmdline_size) {
        error_setg(errp,
                   "the command line of -append has %zu characters, kernel "
                   "'%s' takes %u",
                   strlen(env->cmdline), env->kernel_name, k->cmdline_size);
        return false;
    }
    return true;
}

/* As high as the kernel takes it, so that it does not meet the unpacking. */
static bool linux_place_initrd(BootPlan *plan, const BootEnv *env,
                               const LinuxImage *k, uint64_t *addr,
                               uint64_t *len, GError **errp)
{
    *addr = *len = 0;
    if (env->n_modules == 0) {
        return true;
    }
    *len = g_bytes_get_size(env->modules[0].data);
    if (*len == 0) {
        return true;
    }
    if (!boot_find_high(plan, env, *len, k->initrd_max, addr)) {
        error_setg(errp,
                   "initrd '%s' of %" PRIu64 " bytes does not fit into memory: "
                   "the kernel needs RAM up to 0x%" PRIx64
                   " and takes initrds below 0x%" PRIx64
                   ", RAM ends at 0x%" PRIx64 "; give more with -m",
                   env->modules[0].cmdline, *len, k->need_end, k->initrd_max,
                   e820_high_memory_end(env->e820));
        return false;
    }
    boot_plan_add(plan, *addr, *len, env->modules[0].data);
    return true;
}

bool boot_linux_load(BootPlan *plan, const BootEnv *env, GBytes *image,
                     GError **errp)
{
    size_t len;
    const uint8_t *p = g_bytes_get_data(image, &len);
    g_autoptr(GBytes) payload = NULL;
    uint64_t initrd, initrd_len;
    LinuxImage k = { 0 };
    hwaddr params;

    if (!linux_read_header(&k, p, len, env->kernel_name, errp)) {
        return false;
    }
    linux_read_layout(&k, p, len);
    if (!linux_check_fits(&k, env, errp)) {
        return false;
    }
    payload = g_bytes_new_from_bytes(image, k.setup_len, len - k.setup_len);
    boot_plan_add(plan, k.load, g_bytes_get_size(payload), payload);
    plan->low_end = k.need_end;
    if (!linux_place_initrd(plan, env, &k, &initrd, &initrd_len, errp)) {
        return false;
    }
    params = boot_linux_params(plan, env, p + BP_SETUP_SECTS, k.header_len,
                               initrd, initrd_len, errp);
    if (!params) {
        return false;
    }
    plan->protocol = k.is_64bit ? "Linux, 64-bit boot protocol"
                                : "Linux, 32-bit boot protocol";
    plan->mode = k.is_64bit ? BOOT_LONG : BOOT_PROTECTED;
    plan->entry = k.is_64bit ? k.load + 0x200 : k.load;
    plan->gpr[R_RSI] = params;
    return true;
}
