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
/* An element of a package that is a package itself, until aml_end(). */
void aml_package(Aml *a, unsigned n);
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

/* Expressions are written as they stand in the byte code, the operator first:
 * Store(Arg0, PRQ0) is aml_op(AML_STORE), aml_arg(0), aml_ref("PRQ0"). */
typedef enum AmlOp {
    AML_NO_TARGET = 0x00,
    AML_STORE = 0x70,       /* value, target */
    AML_SHIFT_LEFT = 0x79,  /* value, count, target */
    AML_AND = 0x7b,         /* value, value, target */
    AML_OR = 0x7d,          /* likewise */
    AML_NOTIFY = 0x86,      /* object, value */
    AML_DWORD_FIELD = 0x8a, /* buffer, offset, name: CreateDWordField */
    AML_LESS = 0x95,        /* value, value */
    AML_RETURN = 0xa4,      /* value */
} AmlOp;

void aml_op(Aml *a, AmlOp op);
void aml_arg(Aml *a, unsigned n);
void aml_ref(Aml *a, const char *name);
void aml_if(Aml *a); /* predicate, then what to do, until aml_end() */

/* Mutex(@name): aml_acquire() waits for it as long as it takes. */
void aml_mutex(Aml *a, const char *name);
void aml_acquire(Aml *a, const char *name);
void aml_release(Aml *a, const char *name);

enum { AML_IO = 1, AML_PCI_CONFIG = 2 };
/* OperationRegion(@name, @space, @offset, @len). */
void aml_op_region(Aml *a, const char *name, unsigned space, uint64_t offset,
                   uint64_t len);
/* Field(@region, ByteAcc, NoLock, Preserve) { ... }: aml_field_unit() until
 * aml_end(). */
void aml_field(Aml *a, const char *region);
/* The same with DWordAcc and WriteAsZeros. */
void aml_field_dwords(Aml *a, const char *region);
void aml_field_unit(Aml *a, const char *name, unsigned bits); /* up to 63 */

/* Resources of a device. 6.4.2 and 6.4.3. */
void aml_res_io(Aml *a, uint16_t base, uint8_t len);
void aml_res_irq(Aml *a, unsigned irq); /* edge, active high, exclusive */
void aml_res_mem32(Aml *a, uint32_t base, uint32_t len, bool writable);
/* Level, active high, shared: one of the @n interrupts, for a link device. Its
 * first number stands 5 bytes into the resources. */
void aml_res_irqs(Aml *a, const uint32_t *irq, unsigned n);
enum { AML_RES_IRQ_OFFSET = 5 };
/* What a bus passes on to the other side: @first to @last. */
void aml_res_bus_range(Aml *a, uint16_t first, uint16_t last);
void aml_res_io_range(Aml *a, uint16_t first, uint16_t last);
void aml_res_mem_range(Aml *a, uint64_t first, uint64_t last, bool cacheable);

#endif
