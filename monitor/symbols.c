/* Symbol tables. The files may be anything: every offset is checked. */
#include "util/osdep.h"
#include <elf.h>
#include "monitor/symbols.h"

typedef struct Symbol {
    uint64_t addr;
    const char *name; /* in the chunk */
} Symbol;

struct Symbols {
    GArray *by_addr;     /* of Symbol, sorted */
    GHashTable *by_name; /* name -> uint64_t * */
    GStringChunk *chunk;
};

static void add(Symbols *s, uint64_t addr, const char *name, size_t len)
{
    Symbol sym = { .addr = addr };
    uint64_t *value;

    if (!len) {
        return;
    }
    sym.name = g_string_chunk_insert_len(s->chunk, name, (gssize)len);
    g_array_append_val(s->by_addr, sym);
    if (!g_hash_table_contains(s->by_name, sym.name)) {
        value = g_new(uint64_t, 1);
        *value = addr;
        g_hash_table_insert(s->by_name, (void *)sym.name, value);
    }
}

/* ---- ELF ------------------------------------------------------------------- */

typedef struct File {
    const char *data;
    size_t len;
} File;

static const void *part(const File *f, uint64_t off, uint64_t len)
{
    return off <= f->len && len <= f->len - off ? f->data + off : NULL;
}

static void add_symbol(Symbols *s, const File *names, uint64_t name_off,
                       unsigned char info, uint16_t section, uint64_t value)
{
    const char *name = part(names, name_off, 1);
    unsigned type = info & 0xf; /* the same in both classes */

    if (name && section != SHN_UNDEF &&
        (type == STT_NOTYPE || type == STT_OBJECT || type == STT_FUNC)) {
        add(s, value, name, strnlen(name, names->len - name_off));
    }
}

/* Section headers and symbols of one class. */
#define READ_ELF(fn, Ehdr, Shdr, Sym) \
    static void fn(Symbols *s, const File *f) \
    { \
        Ehdr h; \
        memcpy(&h, f->data, sizeof(h)); \
        for (unsigned i = 0; i < h.e_shnum; i++) { \
            const void *p = \
                part(f, h.e_shoff + (uint64_t)i * sizeof(Shdr), sizeof(Shdr)); \
            const void *q; \
            Shdr sh, str; \
            File names; \
            if (!p || h.e_shentsize != sizeof(Shdr)) { \
                return; \
            } \
            memcpy(&sh, p, sizeof(sh)); \
            q = part(f, h.e_shoff + (uint64_t)sh.sh_link * sizeof(Shdr), \
                     sizeof(Shdr)); \
            if (sh.sh_type != SHT_SYMTAB || !q) { \
                continue; \
            } \
            memcpy(&str, q, sizeof(str)); \
            names.data = part(f, str.sh_offset, str.sh_size); \
            names.len = str.sh_size; \
            p = part(f, sh.sh_offset, sh.sh_size); \
            for (uint64_t k = 0; \
                 p && names.data && k < sh.sh_size / sizeof(Sym); k++) { \
                Sym sym; \
                memcpy(&sym, (const char *)p + k * sizeof(sym), sizeof(sym)); \
                add_symbol(s, &names, sym.st_name, sym.st_info, sym.st_shndx, \
                           sym.st_value); \
            } \
        } \
    }

READ_ELF(read_elf64, Elf64_Ehdr, Elf64_Shdr, Elf64_Sym)
READ_ELF(read_elf32, Elf32_Ehdr, Elf32_Shdr, Elf32_Sym)

static void read_elf(Symbols *s, const File *f)
{
    if (f->len < sizeof(Elf64_Ehdr) || memcmp(f->data, ELFMAG, SELFMAG) ||
        f->data[EI_DATA] != ELFDATA2LSB) {
        return;
    }
    if (f->data[EI_CLASS] == ELFCLASS64) {
        read_elf64(s, f);
    } else if (f->data[EI_CLASS] == ELFCLASS32) {
        read_elf32(s, f);
    }
}

/* ---- System.map ---------------------------------------------------------------- */

/* "ffffffff81000000 T _text" */
static void read_map(Symbols *s, const char *path)
{
    g_autofree char *text = NULL;
    char *line, *next;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return;
    }
    for (line = text; line && *line; line = next) {
        char *end, *name;
        uint64_t addr = g_ascii_strtoull(line, &end, 16);

        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ') {
            continue;
        }
        name = end + 3;
        add(s, addr, name, strcspn(name, " \t\r"));
    }
}

/* NULL: the kernel's name says nothing. */
static char *map_beside(const char *kernel)
{
    g_autofree char *dir = g_path_get_dirname(kernel);
    g_autofree char *base = g_path_get_basename(kernel);
    const char *version = strchr(base, '-');
    g_autofree char *name =
        g_strconcat("System.map", version ? version : "", NULL);

    return g_build_filename(dir, name, NULL);
}

/* ---- all ------------------------------------------------------------------------ */

static int by_addr(const void *a, const void *b)
{
    const Symbol *x = a, *y = b;

    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

Symbols *symbols_load(const char *kernel)
{
    Symbols *s = g_new0(Symbols, 1);
    GMappedFile *map = kernel ? g_mapped_file_new(kernel, FALSE, NULL) : NULL;

    s->by_addr = g_array_new(FALSE, FALSE, sizeof(Symbol));
    s->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    s->chunk = g_string_chunk_new(65536);
    if (map) {
        File f = { g_mapped_file_get_contents(map),
                   g_mapped_file_get_length(map) };

        read_elf(s, &f);
        g_mapped_file_unref(map);
    }
    if (kernel && !s->by_addr->len) {
        g_autofree char *path = map_beside(kernel);

        read_map(s, path);
    }
    g_array_sort(s->by_addr, by_addr);
    return s;
}

void symbols_free(Symbols *s)
{
    if (s) {
        g_array_unref(s->by_addr);
        g_hash_table_unref(s->by_name);
        g_string_chunk_free(s->chunk);
        g_free(s);
    }
}

unsigned symbols_count(const Symbols *s)
{
    return s->by_addr->len;
}

bool symbols_find(const Symbols *s, const char *name, uint64_t *addr)
{
    const uint64_t *value = g_hash_table_lookup(s->by_name, name);

    if (value) {
        *addr = *value;
    }
    return value != NULL;
}

const char *symbols_at(const Symbols *s, uint64_t addr, uint64_t *offset)
{
    guint lo = 0, hi = s->by_addr->len;

    while (lo < hi) { /* the first one behind @addr */
        guint mid = lo + (hi - lo) / 2;

        if (g_array_index(s->by_addr, Symbol, mid).addr <= addr) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (!lo) {
        return NULL;
    }
    *offset = addr - g_array_index(s->by_addr, Symbol, lo - 1).addr;
    return g_array_index(s->by_addr, Symbol, lo - 1).name;
}
