/*
 * Between the files that carry X86State to and from a vCPU of the kernel. All
 * functions: the vCPU's thread, or the main thread while it is paused.
 */
#ifndef ACCEL_KVM_STATE_H
#define ACCEL_KVM_STATE_H

#include "accel/kvm/kvm.h"

/* An ioctl that must not fail: if it does, that is told once, and the vCPU
 * does not run any more. */
void kvm_state_failed(KvmCpu *kc, const char *what);
bool kvm_state_call(KvmCpu *kc, unsigned long request, const char *name,
                    void *arg);
#define STATE_CALL(kc, request, arg) \
    kvm_state_call((kc), (request), #request, (arg))

G_STATIC_ASSERT(sizeof(struct kvm_msrs) == 8);

typedef struct MsrList { /* struct kvm_msrs, with room */
    struct {
        uint32_t nmsrs, padding;
    } head;
    struct kvm_msr_entry entry[KVM_MSRS_MAX];
} MsrList;

/*
 * KVM refused the control registers (@what) that a guest saved elsewhere has:
 * the software CPU goes on with it, until KVM takes them. Where the local APICs
 * are the kernel's that cannot be, and is a failure.
 */
void kvm_state_unfit(KvmCpu *kc, const char *what);

/* ---- xsave.c ---------------------------------------------------------------------- */

void kvm_pull_fpu(KvmCpu *kc, X86State *s);
void kvm_push_fpu(KvmCpu *kc, const X86State *s);
void kvm_pull_xcrs(KvmCpu *kc, X86State *s);
void kvm_push_xcrs(KvmCpu *kc, const X86State *s);

/* ---- msr.c ------------------------------------------------------------------------ */

void kvm_pull_msrs(KvmCpu *kc, X86State *s);
void kvm_push_msrs(KvmCpu *kc, X86State *s);
void kvm_push_tsc(KvmCpu *kc); /* kvm_pull_tsc() is in kvm.h */
void kvm_pull_kvmclock(KvmCpu *kc, X86State *s);
void kvm_push_kvmclock(KvmCpu *kc, const X86State *s);

/* ---- lapic.c: a local APIC in the kernel; nothing where it is ours ---------- */

void kvm_pull_lapic(KvmCpu *kc);
void kvm_push_lapic(KvmCpu *kc); /* after its mode (sregs) and the TSC */
/* The TSC was set: a deadline that waits is one of that. */
void kvm_lapic_rearm(KvmCpu *kc);

#endif
