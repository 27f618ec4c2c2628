/* The part of the DSDT that is about PCI. Private to tables.c. */
#ifndef HW_ACPI_PCI_AML_H
#define HW_ACPI_PCI_AML_H

#include "hw/acpi/aml.h"
#include "hw/acpi/tables.h"

/* In scope \_SB: the host bridge PCI0 with its ISA bridge, left open for the
 * devices behind it. */
void aml_pci_begin(Aml *a, const AcpiConfig *cfg);
/* Closes them, and adds the interrupt links LNKA-D and LNKS. */
void aml_pci_end(Aml *a);
/* Outside of it: what follows when GPE 1 says that a slot was filled or shall
 * be emptied. */
void aml_pci_events(Aml *a);

#endif
