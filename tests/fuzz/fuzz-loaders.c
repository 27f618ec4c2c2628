/*
 * Kernel images. Byte 0 chooses the memory size and modules, the rest is the
 * image. Whatever a loader plans must lie in RAM or in the areas of boot.h.
 */
#include "util/osdep.h"
#include "hw/i386/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plan(const BootPlan *plan, const E820 *map)
{
    for (unsigned i = 0; i < plan->chunks->len; i++) {
        const BootChunk *c = &g_array_index(plan->chunks, BootChunk, i);

        g_assert(!c->data || g_bytes_get_size(c->data) <= c->size);
        g_assert(e820_is_ram(map, c->addr, c->size) ||
                 (c->addr >= BOOT_AREA && c->addr < BOOT_TABLES_END &&
                  c->size <= BOOT_TABLES_END - c->addr));
    }
    g_assert(plan->mode == BOOT_PROTECTED || plan->mode == BOOT_LONG);
    g_assert(e820_is_ram(map, plan->entry, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[4] = { 2 * MIB, 64 * MIB, 3 * GIB, MIB };
    g_autoptr(BootPlan) plan = boot_plan_new();
    g_autoptr(GBytes) image = NULL;
    g_autoptr(GBytes) mod = g_bytes_new_static("module", 6);
    BootModule mods[2] = { { mod, (char *)"a b" }, { mod, (char *)"c" } };
    g_autoptr(GError) err = NULL;
    E820 map;
    BootEnv env = { .e820 = &map,
                    .kernel_name = "k",
                    .cmdline = "one two",
                    .modules = mods,
                    .rsdp = BOOT_TABLES };
    uint8_t *copy;
    bool ok;

    if (size < 2) {
        return 0;
    }
    e820_init_pc(&map, sizes[data[0] & 3], data[0] & 4 ? GIB : 0);
    env.n_modules = data[0] >> 3 & 1;
    env.n_modules += env.n_modules && data[0] & 16;
    copy = g_memdup2(data + 1, size - 1); /* its end is an end */
    image = g_bytes_new_take(copy, size - 1);
    ok = boot_load_kernel(plan, &env, image, &err);
    g_assert(ok == (err == NULL));
    if (ok) {
        check_plan(plan, &map);
    } else {
        g_assert(!strchr(err->message, '\n'));
    }
    return 0;
}
