/*
 * SMBIOS structures and their entry points. DMTF DSP0134 2.8 and 3.0.
 */
#ifndef HW_I386_SMBIOS_H
#define HW_I386_SMBIOS_H

#include "util/osdep.h"

enum { SMBIOS_MAJOR = 2, SMBIOS_MINOR = 8 };
enum { SMBIOS_V2_LEN = 31, SMBIOS_V3_LEN = 24 };

/* What -smbios and -uuid said. */
typedef struct SmbiosTexts {
    GHashTable *text; /* "1.serial" -> value */
    GPtrArray *oem;   /* of char *: type=11,value= */
    bool has_uuid;
    uint8_t uuid[16]; /* as written, big-endian */
} SmbiosTexts;

typedef struct SmbiosConfig {
    const SmbiosTexts *texts;
    uint64_t ram_below_4g, ram_above_4g; /* bytes */
    unsigned sockets, cores, threads; /* cores per socket, threads per core */
    uint32_t cpu_signature, cpu_features; /* CPUID 1: EAX, EDX */
    const char *cpu_name;
} SmbiosConfig;

typedef struct SmbiosTables {
    GByteArray *bytes; /* the structures */
    unsigned count, max_len;
} SmbiosTables;

/* @options: -smbios arguments (of char *), may be NULL. @uuid: -uuid or NULL. */
SmbiosTexts *smbios_parse(const GPtrArray *options, const char *uuid,
                          GError **errp);
void smbios_texts_free(SmbiosTexts *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SmbiosTexts, smbios_texts_free)

void smbios_build(SmbiosTables *t, const SmbiosConfig *cfg);
void smbios_clear(SmbiosTables *t);
/* Entry points for structures at physical address @addr. */
void smbios_entry_v2(const SmbiosTables *t, uint32_t addr,
                     uint8_t out[SMBIOS_V2_LEN]);
void smbios_entry_v3(const SmbiosTables *t, uint64_t addr,
                     uint8_t out[SMBIOS_V3_LEN]);

#endif
