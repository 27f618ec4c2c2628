/*
 * Local APICs and the messages between them; see apic.c.
 *
 * Any thread, machine lock held.
 */
#ifndef HW_INTC_APIC_H
#define HW_INTC_APIC_H

#include "system/irq.h"
#include "system/machine.h"

#define APIC_DEFAULT_BASE 0xfee00000u
enum { APIC_BUS_HZ = 1000000000 }; /* input of the timer's divider */

/* Delivery modes, as in the ICR, the LVT, redirection entries and MSIs. */
enum {
    APIC_DM_FIXED = 0,
    APIC_DM_LOWEST = 1,
    APIC_DM_SMI = 2,
    APIC_DM_NMI = 4,
    APIC_DM_INIT = 5,
    APIC_DM_SIPI = 6,
    APIC_DM_EXTINT = 7,
};

/*
 * One per CPU, made by the machine: device_new_class(), apic_attach(),
 * device_realize(), which sets cpu->apic and cpu->apic_ops. Properties
 * "enabled" (off: CPUID has no APIC, the 8259 drives the CPU), "x2apic",
 * "tsc-deadline" and "phys-bits"; what cpu->model has not got is off anyway.
 */
extern const DeviceClass apic_class;

void apic_attach(Device *dev, X86Cpu *cpu);

/*
 * The returned line takes the 8259's INTR to LINT0 of every local APIC, and
 * straight to the boot CPU while its APIC is disabled. @ack is asked for the
 * vector (i8259_ack). After all the APICs are realized.
 */
IrqLine apic_connect_pic(Machine *m, int (*ack)(void *opaque), void *opaque);
/* @eoi hears of every EOI of a level-triggered vector. As above. */
void apic_connect_ioapic(Machine *m, void (*eoi)(void *opaque, uint8_t vector),
                         void *opaque);

/*
 * An interrupt message on the system bus, from an I/O APIC or an MSI. @dest is
 * a physical id (0xff: all) or, with @logical, matched with LDR and DFR.
 */
void apic_deliver(Machine *m, uint8_t dest, bool logical,
                  unsigned delivery_mode, uint8_t vector, bool level);
/* An I/O APIC's pin will send this message, or (@used false) none: a kernel that
 * has the local APICs wants to know beforehand. */
void apic_route_pin(Machine *m, unsigned pin, bool used, uint8_t dest,
                    bool logical, unsigned delivery_mode, uint8_t vector,
                    bool level);
/* An MSI: the address and data a function wrote. SDM 3A, 11.11. */
void apic_deliver_msi(Machine *m, uint64_t addr, uint32_t data);
/* A pulse on LINT1 of every CPU: the NMI button, and "nmi". */
void apic_nmi(Machine *m);

/* The text of "info lapic". */
void apic_dump(X86Cpu *cpu, GString *out);

#endif
