/*
 * Writes ACPI Machine Language. ACPI 6.4, chapter 20.
 *
 * Packages are opened and closed in order: aml_device(...); ... aml_end(...).
 * Names are paths as in ASL ("_HID", "\\_SB", "COM1").
 */
#ifndef HW_ACPI_AML_H
#define HW_ACPI_AML_H

#include "util/osdep.h"

enum { AML_MAX_DEPTH = 8 };

typedef struct Aml {
    GByteArray *out; /* owned by the caller */
    unsigned depth;
    guint start[AML_MAX_DEPTH]; /* where the contents of open packages begin */
} Aml;

void aml_scope(Aml *a, const char *name);
void aml_device(Aml *a, const char *name);
void aml_method(Aml *a, const char *name, unsigned n_args);
/* Name(@name, Package(@n) { ... }): aml_int() for the elements. */
void aml_name_package(Aml *a, const char *name, unsigned n);
/* Name(@name, ResourceTemplate() { ... }): aml_res_*() for the contents. */
void aml_name_resources(Aml *a, const char *name);
/* Closes the innermost package; resources with aml_end_resources(). */
void aml_end(Aml *a);
void aml_end_resources(Aml *a);

void aml_int(Aml *a, uint64_t value);
void aml_name_int(Aml *a, const char *name, uint64_t value);
void aml_name_string(Aml *a, const char *name, const char *text);
/* Name(@name, EISAID(@id)), "PNP0501". */
void aml_name_eisaid(Aml *a, const char *name, const char *id);
void aml_return_int(Aml *a, uint64_t value);

/* Resources of a device. 6.4.2 and 6.4.3. */
void aml_res_io(Aml *a, uint16_t base, uint8_t len);
void aml_res_irq(Aml *a, unsigned irq); /* edge, active high, exclusive */
void aml_res_mem32(Aml *a, uint32_t base, uint32_t len, bool writable);

#endif
