/*
 * Boot plans: what every loader shares, and which loader takes an image.
 *
 * Carrying a plan out is boot-start.c's.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <sys/mman.h>
#include "util/bits.h"
#include "util/error.h"
#include "util/fdset.h"
#include "hw/i386/boot.h"

/* ---- the plan --------------------------------------------------------------- */

static void boot_chunk_clear(void *opaque)
{
    BootChunk *c = opaque;

    if (c->data) {
        g_bytes_unref(c->data);
    }
}

static void boot_file_free(void *opaque)
{
    BootFile *f = opaque;

    g_bytes_unref(f->bytes);
    close(f->fd);
    g_free(f->name);
    g_free(f);
}

BootPlan *boot_plan_new(void)
{
    BootPlan *plan = g_new0(BootPlan, 1);

    plan->chunks = g_array_new(FALSE, TRUE, sizeof(BootChunk));
    g_array_set_clear_func(plan->chunks, boot_chunk_clear);
    plan->files = g_ptr_array_new_with_free_func(boot_file_free);
    plan->area_next = BOOT_AREA;
    plan->tables_next = BOOT_TABLES;
    plan->low_end = MIB;
    plan->high_end = 4 * GIB;
    return plan;
}

void boot_plan_free(BootPlan *plan)
{
    if (plan) {
        g_array_unref(plan->chunks);
        g_ptr_array_unref(plan->files);
        g_free(plan);
    }
}

void boot_plan_add(BootPlan *plan, hwaddr addr, uint64_t size, GBytes *data)
{
    BootChunk c = { .addr = addr, .size = size };

    if (data) {
        g_assert(g_bytes_get_size(data) <= size);
        c.data = g_bytes_ref(data);
    }
    if (size) {
        g_array_append_val(plan->chunks, c);
    } else {
        boot_chunk_clear(&c);
    }
}

static hwaddr boot_place_in(BootPlan *plan, hwaddr *next, hwaddr end,
                            const void *data, size_t len, unsigned align)
{
    hwaddr addr = (*next + align - 1) & ~(hwaddr)(align - 1);
    g_autoptr(GBytes) bytes = NULL;

    if (addr > end || len > end - addr) {
        return 0;
    }
    bytes = g_bytes_new(data, len);
    boot_plan_add(plan, addr, len, bytes);
    *next = addr + len;
    return addr;
}

hwaddr boot_plan_place(BootPlan *plan, const void *data, size_t len,
                       unsigned align, GError **errp)
{
    hwaddr addr =
        boot_place_in(plan, &plan->area_next, BOOT_AREA_END, data, len, align);

    if (!addr) {
        error_setg(errp,
                   "command lines and boot information need %zu bytes more "
                   "than the %u KiB there are for them",
                   len - (size_t)MIN(len, BOOT_AREA_END - plan->area_next),
                   (BOOT_AREA_END - BOOT_AREA) / 1024);
    }
    return addr;
}

hwaddr boot_plan_place_table(BootPlan *plan, const void *data, size_t len,
                             unsigned align, GError **errp)
{
    hwaddr addr = boot_place_in(plan, &plan->tables_next, BOOT_TABLES_END, data,
                                len, align);

    if (!addr) {
        error_setg(errp, "ACPI and SMBIOS tables do not fit into 64 KiB: "
                         "shorten the -smbios texts");
    }
    return addr;
}

bool boot_place_modules(BootPlan *plan, const BootEnv *env, uint64_t *addr,
                        GError **errp)
{
    for (unsigned i = 0; i < env->n_modules; i++) {
        size_t len = g_bytes_get_size(env->modules[i].data);

        if (!e820_find_low(env->e820, len, 4096, MAX(plan->low_end, MIB),
                           plan->high_end, &addr[i])) {
            error_setg(errp,
                       "initrd '%s' of %zu bytes does not fit into memory "
                       "behind the kernel, which ends at 0x%" PRIx64
                       ": give more with -m",
                       env->modules[i].cmdline, len, plan->low_end);
            return false;
        }
        boot_plan_add(plan, addr[i], len, env->modules[i].data);
        plan->low_end = addr[i] + len;
    }
    return true;
}

bool boot_find_high(BootPlan *plan, const BootEnv *env, uint64_t len,
                    uint64_t max, uint64_t *addr)
{
    if (!e820_find_high(env->e820, len, 4096, plan->low_end,
                        MIN(max, plan->high_end), addr)) {
        return false;
    }
    plan->high_end = *addr;
    return true;
}

/* ---- which kind of kernel ---------------------------------------------------- */

static BootKind boot_detect(GBytes *image)
{
    size_t len;
    const uint8_t *p = g_bytes_get_data(image, &len);

    if (len >= 0x206 && memcmp(p + 0x202, "HdrS", 4) == 0 &&
        ld_le16(p + 0x1fe) == 0xaa55) {
        return BOOT_KIND_LINUX;
    }
    for (size_t i = 0; i + 12 <= MIN(len, 8192); i += 4) {
        if (ld_le32(p + i) == 0x1badb002 &&
            ld_le32(p + i) + ld_le32(p + i + 4) + ld_le32(p + i + 8) == 0) {
            return BOOT_KIND_MULTIBOOT;
        }
    }
    for (size_t i = 0; i + 16 <= MIN(len, 32768); i += 8) {
        if (ld_le32(p + i) == 0xe85250d6 &&
            ld_le32(p + i) + ld_le32(p + i + 4) + ld_le32(p + i + 8) +
                    ld_le32(p + i + 12) ==
                0) {
            return BOOT_KIND_MULTIBOOT2;
        }
    }
    if (len >= 4 && memcmp(p, "\177ELF", 4) == 0) {
        return BOOT_KIND_ELF;
    }
    return BOOT_KIND_UNKNOWN;
}

bool boot_load_kernel(BootPlan *plan, const BootEnv *env, GBytes *image,
                      GError **errp)
{
    switch (boot_detect(image)) {
    case BOOT_KIND_LINUX:
        return boot_linux_load(plan, env, image, errp);
    case BOOT_KIND_MULTIBOOT:
        return boot_multiboot_load(plan, env, image, errp);
    case BOOT_KIND_MULTIBOOT2:
        return boot_multiboot2_load(plan, env, image, errp);
    case BOOT_KIND_ELF:
        return boot_elf_load(plan, env, image, errp);
    case BOOT_KIND_UNKNOWN:
        break;
    }
    error_setg(errp,
               "'%s' is not a kernel: looked for a Linux bzImage (HdrS at "
               "0x202), a multiboot header in the first 8 KiB, a multiboot2 "
               "header in the first 32 KiB, and an ELF file with or without a "
               "PVH note; a raw binary starts with -flat",
               env->kernel_name);
    return false;
}

/* ---- files ------------------------------------------------------------------- */

typedef struct BootMapping {
    void *p;
    size_t len;
} BootMapping;

static void boot_unmap(void *opaque)
{
    BootMapping *map = opaque;

    munmap(map->p, map->len);
    g_free(map);
}

/* Maps @fd, which the plan then owns. NULL: it cannot be mapped. */
static GBytes *boot_map_file(BootPlan *plan, int fd, const struct stat *st,
                             const char *name)
{
    void *p = mmap(NULL, st->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    BootMapping *map;
    BootFile *f;

    if (p == MAP_FAILED) {
        return NULL;
    }
    map = g_new(BootMapping, 1);
    *map = (BootMapping) { p, st->st_size };
    f = g_new(BootFile, 1);
    *f = (BootFile) { .name = g_strdup(name),
                      .fd = fd,
                      .map = p,
                      .len = st->st_size,
                      .st = *st };
    f->bytes = g_bytes_new_with_free_func(p, f->len, boot_unmap, map);
    g_ptr_array_add(plan->files, f);
    return g_bytes_ref(f->bytes);
}

/* Pipes and the like, to their end. */
static GBytes *boot_slurp(int fd)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t buf[65536];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) != 0) {
        if (n < 0 && errno != EINTR) {
            return NULL;
        }
        if (n > 0) {
            g_byte_array_append(out, buf, n);
        }
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

GBytes *boot_read_file(BootPlan *plan, const char *what, const char *name,
                       GError **errp)
{
    int fd = fdset_open(name, O_RDONLY, 0);
    GBytes *bytes = NULL;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0) {
        if (S_ISREG(st.st_mode) && st.st_size > 0) {
            bytes = boot_map_file(plan, fd, &st, name);
            if (bytes) {
                return bytes;
            }
        }
        bytes = boot_slurp(fd);
    }
    if (!bytes) {
        error_setg_errno(errp, errno, "could not open %s file '%s'", what,
                         name);
    }
    if (fd >= 0) {
        close(fd);
    }
    return bytes;
}

/* "a arg,b arg" at its commas; ",," is one comma. */
static GPtrArray *boot_split_modules(const char *text)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    GString *word = g_string_new(NULL);

    for (const char *p = text;; p++) {
        if (p[0] == ',' && p[1] == ',') {
            g_string_append_c(word, ',');
            p++;
        } else if (*p == ',' || *p == '\0') {
            g_ptr_array_add(list, g_strdup(word->str));
            g_string_truncate(word, 0);
            if (*p == '\0') {
                break;
            }
        } else {
            g_string_append_c(word, *p);
        }
    }
    g_string_free(word, TRUE);
    return list;
}

static void boot_modules_free(BootEnv *env)
{
    for (unsigned i = 0; i < env->n_modules; i++) {
        g_bytes_unref(env->modules[i].data);
        g_free(env->modules[i].cmdline);
    }
    g_free(env->modules);
    env->modules = NULL;
    env->n_modules = 0;
}

/* Multiboot kernels take several modules, all others one file of any name. */
static bool boot_read_modules(BootPlan *plan, BootEnv *env, const char *text,
                              bool several, GError **errp)
{
    g_autoptr(GPtrArray) list = NULL;

    if (several) {
        list = boot_split_modules(text);
    } else {
        list = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(list, g_strdup(text));
    }
    env->modules = g_new0(BootModule, list->len);
    for (unsigned i = 0; i < list->len; i++) {
        const char *word = g_ptr_array_index(list, i);
        g_autofree char *file = g_strdup(word);
        GBytes *data;

        if (several && strchr(file, ' ')) {
            *strchr(file, ' ') = '\0';
        }
        data = boot_read_file(plan, "initrd", file, errp);
        if (!data) {
            return false;
        }
        env->modules[i].data = data;
        env->modules[i].cmdline = g_strdup(word);
        env->n_modules++;
    }
    return true;
}

bool boot_from_config(BootPlan *plan, BootEnv *env, Machine *m, GError **errp)
{
    g_autoptr(GBytes) kernel = NULL;
    g_autoptr(GBytes) dtb = NULL;
    BootKind kind;
    bool ok;

    kernel = boot_read_file(plan, "kernel", m->cfg.kernel, errp);
    if (!kernel) {
        return false;
    }
    env->kernel_name = m->cfg.kernel;
    env->cmdline = m->cfg.append ? m->cfg.append : "";
    if (m->cfg.dtb) {
        dtb = boot_read_file(plan, "dtb", m->cfg.dtb, errp);
        if (!dtb) {
            return false;
        }
        env->dtb = dtb;
    }
    kind = boot_detect(kernel);
    ok = !m->cfg.initrd || boot_read_modules(plan, env, m->cfg.initrd,
                                             kind == BOOT_KIND_MULTIBOOT ||
                                                 kind == BOOT_KIND_MULTIBOOT2,
                                             errp);
    ok = ok && boot_load_kernel(plan, env, kernel, errp);
    boot_modules_free(env);
    env->dtb = NULL;
    return ok;
}
